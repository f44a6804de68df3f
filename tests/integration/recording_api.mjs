// Reads whole sessions as PostHog does: lists the blocks of each, fetches them one by one, and unpacks the snappy.
//
//   node recording_api.mjs PACKAGES < REQUEST
//
// PACKAGES is a folder with node_modules. REQUEST is JSON: {"url", "secret", "sessions": [[team, session id]]}.
// Prints a line of JSON for each session: [its lines as they come unpacked from snappy, the same as JSON lines].
// The requests are RecordingApiClient's of posthog/session_recordings/recordings/recording_api_client.py.
import { createHmac } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'

const snappy = createRequire(`${process.argv[2]}/`)('snappy')
const { url, secret, sessions } = JSON.parse(await readFile('/dev/stdin', 'utf8'))

function sign(claims) {
  const [head, body] = [{ alg: 'HS256', typ: 'JWT' }, claims].map((part) =>
    Buffer.from(JSON.stringify(part)).toString('base64url')
  )
  return `${head}.${body}.${createHmac('sha256', secret).update(`${head}.${body}`).digest('base64url')}`
}

async function get(team, path, query = {}) {
  const now = Math.floor(Date.now() / 1000)
  const token = sign({ team_id: team, op: 'read', aud: 'posthog:recording_api', iat: now, exp: now + 300 })
  const answer = await fetch(`${url}/api/projects/${team}/recordings/${path}?${new URLSearchParams(query)}`, {
    headers: { authorization: `Bearer ${token}` },
  })
  if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
  return answer
}

for (const [team, session] of sessions) {
  const name = encodeURIComponent(session)
  const { blocks } = await (await get(team, `${name}/blocks`)).json()
  const unpacked = []
  const lines = []
  for (const { key, start_byte, end_byte } of blocks) {
    const range = { key, start_byte, end_byte }
    const packed = Buffer.from(await (await get(team, `${name}/block`, range)).arrayBuffer())
    unpacked.push((await snappy.uncompress(packed, { asBuffer: true })).toString('utf8'))
    lines.push(await (await get(team, `${name}/block`, { ...range, decompress: 'true' })).text())
  }
  console.log(JSON.stringify([unpacked.join(''), lines.join('')]))
}
