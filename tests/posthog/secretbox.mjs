// Encrypts and decrypts with the library that PostHog's consumer and reader use, libsodium-wrappers.
//
//   node secretbox.mjs PACKAGES < REQUEST
//
// PACKAGES is a folder with node_modules. REQUEST is JSON: {"key": …, "stored": [block], "contents": [content]}, all in
// base64. Prints {"opened": [content], "sealed": [block]}.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const sodium = createRequire(`${process.argv[2]}/`)('libsodium-wrappers')
await sodium.ready

const bytes = (text) => new Uint8Array(Buffer.from(text, 'base64'))
const text = (content) => Buffer.from(content).toString('base64')
const request = JSON.parse(readFileSync(0, 'utf8'))
const key = bytes(request.key)
const nonceBytes = sodium.crypto_secretbox_NONCEBYTES

// a block is the nonce, then what crypto_secretbox_easy returns:
// nodejs/src/session-replay/shared/crypto/sodium-encryptor.ts and sodium-decryptor.ts
const opened = request.stored.map(bytes).map((block) =>
  text(sodium.crypto_secretbox_open_easy(block.subarray(nonceBytes), block.subarray(0, nonceBytes), key))
)
const sealed = request.contents.map(bytes).map((content) => {
  const nonce = sodium.randombytes_buf(nonceBytes)
  return text(Buffer.concat([nonce, sodium.crypto_secretbox_easy(content, nonce, key)]))
})
process.stdout.write(JSON.stringify({ opened, sealed }))
