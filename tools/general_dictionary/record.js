// Records visits to the pages of pages.js with posthog-js in Chromium, and writes them as a message file. The second file
// gets the licenses of the style sheets.
//
//     node record.js MESSAGES.jsonl LICENSES.txt
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { createWriteStream, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { chromium } from 'playwright-core'
import { pageOf, randomOf, THEMES } from './pages.js'

const VISITS = 4 // to the pages of each theme
const AT_ONCE = 3
const TOKEN = 'phc_general'
const HOSTS = ['www.shop.test', 'app.example.test', 'docs.example.test', 'admin.team.test']
const HERE = fileURLToPath(new URL('.', import.meta.url))
const TYPES = { css: 'text/css', js: 'text/javascript', html: 'text/html' }

// What runs in each page: the recorder, and a page that changes by itself.
const PAGE_SCRIPT = `
posthog.init('${TOKEN}', {
  api_host: location.origin, disable_compression: true, capture_pageview: true, opt_out_useragent_filter: true, person_profiles: 'identified_only',
  session_recording: { maskAllInputs: false, recordHeaders: true, recordBody: true, captureCanvas: { recordCanvas: true, canvasFps: 2, canvasQuality: '0.2' } },
})
addEventListener('DOMContentLoaded', () => {
  const canvas = document.querySelector('canvas')?.getContext('2d')
  document.addEventListener('click', (event) => {
    console.log('clicked', event.target.tagName, { path: location.pathname })
    if (event.target.tagName !== 'BUTTON') return
    const row = document.querySelector('tbody tr, li, .card')
    row?.parentElement.append(row.cloneNode(true))
    event.target.classList.toggle('active')
    document.getElementById('dialog')?.classList.toggle('show')
    document.getElementById('dialog')?.setAttribute('style', 'display: block;')
    fetch('/api/items?page=1', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"name":"New"}' })
      .then((answer) => answer.json()).then((items) => console.info('loaded', items))
  }, true)
  let turn = 0
  setInterval(() => {
    canvas?.fillRect(turn * 7 % 300, turn * 5 % 150, 9, 9)
    const bar = document.querySelector('[role=progressbar]')
    if (bar) bar.style.width = (turn * 3 % 100) + '%'
    const cell = document.querySelector('td')
    if (cell) cell.textContent = String(turn)
    if (turn++ % 5 === 0) console.warn('Warning: value is %s', turn)
  }, 300)
  console.error(new Error('Failed to load resource'))
})`

const REMOTE_CONFIG = {
  supportedCompression: ['gzip', 'gzip-js'], hasFeatureFlags: false, captureDeadClicks: false, capturePerformance: { network_timing: true, web_vitals: false },
  autocapture_opt_out: true, surveys: false, heatmaps: false, isAuthenticated: false, siteApps: [], defaultIdentifiedOnly: true,
  sessionRecording: {
    endpoint: '/s/', consoleLogRecordingEnabled: true, recorderVersion: 'v2', sampleRate: null, minimumDurationMilliseconds: null, linkedFlag: null,
    networkPayloadCapture: { recordBody: true, recordHeaders: true }, masking: null, urlTriggers: [], urlBlocklist: [], eventTriggers: [], triggerMatchType: null,
    scriptConfig: null, recordCanvas: true, canvasFps: 2, canvasQuality: '0.2',
  },
}

const sorted = (value) => {
  if (Array.isArray(value)) return value.map(sorted)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]))
}

/** The line of a message file for what a client sent in one request, as the capture service makes it. */
function lineOf(events) {
  const { properties } = events[0]
  const items = events.flatMap((event) => event.properties.$snapshot_data ?? event.properties.$snapshot_items)
  const session = properties.$session_id
  const sort = randomOf(parseInt(session.slice(-6), 16))() < 0.7 // one way of capturing sorts the keys, another does not
  const data = {
    event: '$snapshot_items',
    properties: {
      distinct_id: properties.distinct_id, $session_id: session, $window_id: properties.$window_id, $snapshot_source: 'web',
      $snapshot_items: sort ? sorted(items) : items, $lib: 'web', $lib_version: properties.$lib_version ?? '1.0.0',
    },
  }
  const now = new Date().toISOString()
  const value = { uuid: randomUUID(), distinct_id: properties.distinct_id, ip: '127.0.0.1', data: JSON.stringify(data), now, sent_at: now, token: TOKEN }
  const headers = { token: TOKEN, distinct_id: properties.distinct_id, session_id: session, timestamp: String(Date.now()), event: '$snapshot_items' }
  return JSON.stringify({
    partition_key: session, timestamp_ms: Date.now(), headers: Object.entries(headers), value_b64: Buffer.from(JSON.stringify(value)).toString('base64'),
  })
}

async function visit(browser, origin, theme, number) {
  const random = randomOf(number)
  const context = await browser.newContext({ viewport: { width: 1000 + Math.floor(random() * 800), height: 700 + Math.floor(random() * 300) } })
  const page = await context.newPage()
  for (let load = 0; load < 2; load++) {
    await page.goto(`${origin}/page/${THEMES.indexOf(theme)}/${number}/${load}`)
    for (let step = 0; step < 8; step++) {
      await page.mouse.move(random() * 900, random() * 600, { steps: 6 })
      if (step % 2) await page.mouse.wheel(0, random() * 500)
      const buttons = await page.locator('button:visible, a:visible').count()
      // a button or a field may be covered, or gone by now: then this step does nothing
      if (buttons && step % 3 === 0) await page.locator('button:visible').first().click({ timeout: 500, noWaitAfter: true }).catch(() => {})
      const input = page.locator('input:visible').first()
      if (step === 4 && (await input.count())) await input.pressSequentially('jane@example.test', { delay: 20, timeout: 1000 }).catch(() => {})
      if (step === 6) await page.setViewportSize({ width: 900, height: 700 })
      await page.waitForTimeout(600)
    }
  }
  await context.close()
}

const out = createWriteStream(process.argv[2])
let lines = 0
const apps = {}
for (const app of ['mui', 'antd']) {
  const built = await build({ entryPoints: [`${HERE}${app}.jsx`], bundle: true, minify: true, write: false, define: { 'process.env.NODE_ENV': '"production"' }, nodePaths: [`${HERE}node_modules`] })
  apps[`/${app}.js`] = built.outputFiles[0].text
}
const tailwind = execFileSync('npx', ['tailwindcss', '--input', '-', '--content', 'pages.js'], { cwd: HERE, input: '@tailwind base; @tailwind components; @tailwind utilities;' })

async function answer(request, response) {
  const { pathname } = new URL(request.url, 'http://x')
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  const reply = (type, content) => response.writeHead(200, { 'content-type': type }).end(content)
  const [, folder, ...rest] = pathname.split('/')
  if (folder === 's') {
    const body = Buffer.concat(chunks).toString()
    const form = new URLSearchParams(body).get('data') // a page that is left sends a form
    const sent = JSON.parse(form === null ? body : Buffer.from(form, 'base64').toString())
    out.write(lineOf([sent].flat()) + '\n')
    lines++
    return reply('application/json', '{"status":1}')
  }
  if (folder === 'npm' || folder === 'static') { // posthog-js loads more of itself from /static
    if (rest[0] === 'tailwind.css') return reply(TYPES.css, tailwind)
    const path = `${HERE}node_modules/${folder === 'static' ? 'posthog-js/dist/' : ''}${rest.join('/').replace(/^[0-9.]+\//, '')}`
    if (existsSync(path)) return reply(TYPES[path.split('.').at(-1)] ?? 'application/octet-stream', readFileSync(path))
  }
  if (folder === 'page') return reply(TYPES.html, pageOf(THEMES[rest[0]], Number(rest[1]) + Number(rest[2]), Number(rest[1]) * 7 + Number(rest[2])))
  if (folder === 'page.js') return reply(TYPES.js, PAGE_SCRIPT)
  if (apps[pathname]) return reply(TYPES.js, apps[pathname])
  if (folder === 'array' && rest[1] === 'config') return reply('application/json', JSON.stringify(REMOTE_CONFIG))
  if (folder === 'flags' || folder === 'decide') return reply('application/json', JSON.stringify({ ...REMOTE_CONFIG, featureFlags: {}, errorsWhileComputingFlags: false }))
  if (folder === 'api') return reply('application/json', JSON.stringify({ items: [{ id: 1, name: 'New', createdAt: '2026-01-01T00:00:00Z' }], total: 1 }))
  if (folder === 'e' || folder === 'i') return reply('application/json', '{"status":1}')
  response.writeHead(404).end()
}

const server = createServer(answer).listen(0, '127.0.0.1')
await once(server, 'listening')
const { port } = server.address()
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', `--host-resolver-rules=MAP *.test 127.0.0.1`] })
const visits = THEMES.flatMap((theme) => Array.from({ length: VISITS }, (_, i) => [theme, i]))
await Promise.all(Array.from({ length: AT_ONCE }, async () => {
  for (let next = visits.shift(); next; next = visits.shift()) {
    await visit(browser, `http://${HOSTS[(next[1] + THEMES.indexOf(next[0])) % HOSTS.length]}:${port}`, ...next)
  }
}))
await browser.close()
server.close()
await new Promise((done) => out.end(done))

const styled = THEMES.flatMap((theme) => theme.styles.map((path) => path.match(/^(@[^/]+\/)?[^/]+/)[0]))
const packages = new Set([...styled.map((name) => (name === 'tailwind.css' ? 'tailwindcss' : name)), '@emotion/react', '@mui/material', 'antd'])
const licenses = [...packages].sort().map((name) => {
  const folder = `${HERE}node_modules/${name}`
  const { version } = JSON.parse(readFileSync(`${folder}/package.json`))
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry))
  return `${name} ${version}\n\n${readFileSync(`${folder}/${file}`, 'utf8').trim()}\n`
})
writeFileSync(process.argv[3], `general.dict holds pieces of style sheets of these packages.\n\n${licenses.join(`\n${'-'.repeat(80)}\n\n`)}`)
console.log(`${lines} messages`)
