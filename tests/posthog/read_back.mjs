// Reads blocks as PostHog's reader does: the range of bytes that a block URL names, snappy, and lines of JSON.
//
//   node read_back.mjs PACKAGES < REQUEST
//
// PACKAGES is a folder with node_modules. REQUEST is JSON: {"endpoint": URL of an S3 server or "", "urls": [block URL]}.
// Prints a line of JSON for each block: its lines [windowId, event], read and written again.
import { createHash } from 'node:crypto'
import { open, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const snappy = createRequire(`${process.argv[2]}/`)('snappy')

// posthog/storage/recordings/block_storage.py, and parseBlockUrl of
// nodejs/src/session-replay/recording-api/recording-service.ts
function parse(blockUrl) {
  const url = new URL(blockUrl)
  const range = url.search.match(/^\?range=bytes=(\d+)-(\d+)$/)
  if (!range) throw new Error(`no range: ${blockUrl}`)
  return { url, first: Number(range[1]), last: Number(range[2]) }
}

async function fromFolder(url, first, last) {
  url.search = ''
  const file = await open(fileURLToPath(url))
  try {
    const bytes = Buffer.alloc(last - first + 1)
    const { bytesRead } = await file.read(bytes, 0, bytes.length, first)
    return bytes.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

// The tests' server wants the hash of the body, and does not check the signature.
const SIGNED = {
  authorization: 'AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0',
  'x-amz-content-sha256': createHash('sha256').digest('hex'),
}

// The bucket of the URL, and the key as it stands there.
async function fromS3(endpoint, url, first, last) {
  const headers = { ...SIGNED, range: `bytes=${first}-${last}` }
  const answer = await fetch(`${endpoint}/${url.host}${url.pathname}`, { headers })
  if (answer.status !== 206) throw new Error(`${url}: status ${answer.status}`)
  return Buffer.from(await answer.arrayBuffer())
}

const { endpoint, urls } = JSON.parse(await readFile('/dev/stdin', 'utf8'))
for (const blockUrl of urls) {
  const { url, first, last } = parse(blockUrl)
  const stored = endpoint ? await fromS3(endpoint, url, first, last) : await fromFolder(url, first, last)
  if (stored.length !== last - first + 1) throw new Error(`${blockUrl}: ${stored.length} bytes`)
  const text = (await snappy.uncompress(stored, { asBuffer: true })).toString('utf8')
  console.log(JSON.stringify(text.trim().split('\n').map((line) => JSON.parse(line))))
}
