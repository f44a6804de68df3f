// A consumer that behaves toward the group and Redis as PostHog's does. What it records are lines of a file.
//
//   node consumer.mjs PACKAGES SETTINGS
//
// PACKAGES is a folder with node_modules. SETTINGS is JSON: servers, topic, group, redis_port, redis_password, and the
// file to append to. A line of it is {"key": session} for an encryption key that is made, or
// {"partition", "offset", "session"} for a message that is recorded. SIGTERM ends it.
import { appendFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { connect } from 'node:net'

const Kafka = createRequire(`${process.argv[2]}/`)('node-rdkafka')
const settings = JSON.parse(process.argv[3])
const SEEN_SECONDS = 48 * 60 * 60

// One command at a time, and only the kinds of answers that these commands have.
class Redis {
  constructor(port, password) {
    this.socket = connect(port, '127.0.0.1')
    this.waiting = []
    let text = ''
    this.socket.on('data', (bytes) => {
      text += bytes
      for (let end = text.indexOf('\r\n'); end >= 0; end = text.indexOf('\r\n')) {
        this.waiting.shift()(text.slice(0, end))
        text = text.slice(end + 2)
      }
    })
    this.ready = this.ask('AUTH', password)
  }

  ask(...words) {
    const text = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')
    this.socket.write(`*${words.length}\r\n${text}`)
    return new Promise((resolve, reject) => {
      this.waiting.push((answer) => (answer.startsWith('-') ? reject(new Error(answer)) : resolve(answer)))
    })
  }
}

const redis = new Redis(settings.redis_port, settings.redis_password)
const consumer = new Kafka.KafkaConsumer(
  {
    'bootstrap.servers': settings.servers,
    'group.id': settings.group,
    // nodejs/src/common/kafka/consumer
    'partition.assignment.strategy': 'cooperative-sticky',
    'enable.auto.commit': false,
    'enable.auto.offset.store': false,
    'session.timeout.ms': 6000,
    'heartbeat.interval.ms': 200,
    rebalance_cb: true,
  },
  { 'auto.offset.reset': 'earliest' },
)

function write(lines) {
  appendFileSync(settings.file, lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
}

// session-batch-track-and-gate-step.ts, session-resolve-key-step.ts and session-batch-mark-seen-step.ts of
// nodejs/src/ingestion/pipelines/sessionreplay, in this order: a session that nobody has seen gets a key, and is marked
// as seen once the key is stored.
async function admit(session) {
  const mark = `@posthog/replay/session-seen:${settings.team}:${session}`
  if ((await redis.ask('EXISTS', mark)) === ':1') return
  write([{ key: session }])
  await redis.ask('SET', mark, '1', 'EX', String(SEEN_SECONDS))
}

async function record(messages) {
  const lines = []
  const next = new Map()
  for (const { topic, partition, offset, headers } of messages) {
    const session = headers.find((header) => header.session_id).session_id.toString()
    await admit(session)
    lines.push({ partition, offset, session })
    next.set(partition, { topic, partition, offset: offset + 1 })
  }
  write(lines) // stored first: if this process ends here, the messages are read and recorded again
  consumer.commitSync([...next.values()])
}

const consume = (most) =>
  new Promise((resolve, reject) => consumer.consume(most, (error, got) => (error ? reject(error) : resolve(got))))

let stopping = false
process.on('SIGTERM', () => (stopping = true))
consumer.setDefaultConsumeTimeout(200)
consumer.connect({}, async (error) => {
  if (error) throw error
  await redis.ready
  consumer.subscribe([settings.topic])
  while (!stopping) {
    const messages = await consume(20)
    try {
      if (messages.length) await record(messages)
    } catch (refused) {
      // the group has moved on: another consumer reads these messages again
      if (refused.code === undefined) throw refused
    }
  }
  consumer.disconnect(() => process.exit(0))
})
