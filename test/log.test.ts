import { AssertionError } from 'node:assert'
import { describe, expect, test } from 'vitest'
import { ConfigError } from '../src/config/config.ts'
import { AppError, toAppError } from '../src/errors.ts'
import { createLogger, describeError, REDACTED_FIELDS } from '../src/log.ts'

const SECRET = 'sk-ant-api03-secret'

function logged(write: (log: ReturnType<typeof createLogger>) => void, level = 'debug') {
  const lines: string[] = []
  write(createLogger(level, { write: (line) => lines.push(line) }))
  return { text: lines.join(''), lines: lines.map((line) => JSON.parse(line)) }
}

describe('a line', () => {
  test('is one JSON object with level, time and message, and nothing of the machine', () => {
    const { text, lines } = logged((log) => log.info({ answers: 2 }, 'two\nlines'))
    expect(text).toMatch(/^[^\n]+\n$/)
    expect(lines).toEqual([
      { level: 'info', time: expect.stringMatching(/Z$/), answers: 2, msg: 'two\nlines' },
    ])
  })

  test('below the level is not written', () => {
    const write = (log: ReturnType<typeof createLogger>) => {
      log.debug('d')
      log.info('i')
      log.warn('w')
      log.fatal('f')
    }
    expect(logged(write, 'warn').lines.map(({ level }) => level)).toEqual(['warn', 'fatal'])
    expect(logged(write, 'silent').lines).toEqual([])
  })
})

describe('redaction', () => {
  test.each(REDACTED_FIELDS)('%s is cut at the top, in an object and in one inside it', (name) => {
    const { text, lines } = logged((log) =>
      log.info({ [name]: SECRET, a: { [name]: SECRET, b: { [name]: [SECRET] } } }, 'here'),
    )
    expect(text).not.toContain(SECRET)
    expect(lines[0][name]).toBe('[redacted]')
    expect(lines[0].a.b[name]).toBe('[redacted]')
    expect(lines[0].msg).toBe('here')
  })

  test('finds a secret in a list, and however deep it lies', () => {
    const deep = { a: [{ b: { c: [{ d: { token: SECRET } }] } }] }
    const { text, lines } = logged((log) => log.info(deep))
    expect(text).not.toContain(SECRET)
    expect(lines[0].a).toEqual([{ b: { c: [{ d: { token: '[redacted]' } }] } }])
    expect(deep.a[0]?.b.c[0]?.d.token, 'what was given stays as it was').toBe(SECRET)
  })

  test('ends where a value goes round in circles', () => {
    const round: Record<string, unknown> = { name: 'round' }
    round.again = { round, password: SECRET }
    const { text } = logged((log) => log.info(round))
    expect(text).toContain('[too deep]')
    expect(text).not.toContain(SECRET)
  })

  test('leaves other fields alone', () => {
    const { lines } = logged((log) => log.info({ tool: 'send_message', tokens: 5 }))
    expect(lines[0]).toMatchObject({ tool: 'send_message', tokens: 5 })
  })
})

/** As the pg driver makes them: parameters in the message, rows in the detail. */
function driverError(): Error {
  const error = new Error(`duplicate key value: Key (email_key)=(${SECRET}) already exists`)
  const fields = { code: '23505', detail: `Key (email)=(${SECRET})`, query: SECRET, where: SECRET }
  return Object.assign(error, fields)
}

function thrownBy(work: () => unknown): unknown {
  try {
    return work()
  } catch (thrown) {
    return thrown
  }
}

describe('an error', () => {
  test.each([
    ['of the driver', driverError()],
    ['of a JSON parser', thrownBy(() => JSON.parse(`{"a": ${SECRET}}`))],
    ['of a URL parser', thrownBy(() => new URL(SECRET))],
    ['of an assertion', new AssertionError({ actual: SECRET, expected: 1 })],
    ['with a message of several lines', new Error(`first\n    at ${SECRET}\n${SECRET}`)],
    ['as a cause', new AppError('internal', 'Our words.', { cause: driverError() })],
    ['as a cause of a cause', new AppError('internal', 'x', { cause: toAppError(driverError()) })],
    ['with fields of its own', Object.assign(new Error('x'), { body: SECRET, headers: [SECRET] })],
    ['that is text', SECRET],
    ['that is an object', { message: SECRET }],
    ['of several', new AggregateError([driverError()], SECRET)],
  ])('%s is described without what it quotes', (_name, error) => {
    expect(JSON.stringify(describeError(error))).not.toContain(SECRET)
    expect(logged((log) => log.error({ err: error }, 'failed')).text).not.toContain(SECRET)
  })

  test('is described by its class, its code and where it was thrown', () => {
    expect(describeError(driverError())).toEqual({
      type: 'Error',
      code: '23505',
      stack: expect.arrayContaining([expect.stringMatching(/^at .*log\.test\.ts/)]),
    })
    expect(describeError(undefined)).toEqual({ type: 'undefined' })
  })

  test('of our own keeps its words, which are written without secrets, and its cause', () => {
    const error = new AppError('internal', 'Our words.', { cause: driverError() })
    expect(describeError(error)).toMatchObject({
      type: 'AppError',
      code: 'internal',
      reason: 'Our words.',
      cause: { type: 'Error', code: '23505' },
    })
    expect(describeError(new ConfigError([{ path: ['PORT'], message: 'is wrong' }]))).toMatchObject(
      {
        reason: 'These settings are wrong or missing:\n  PORT: is wrong',
      },
    )
  })

  test('given alone is described in the same way', () => {
    const { text, lines } = logged((log) => log.error(driverError()))
    expect(text).not.toContain(SECRET)
    expect(lines[0].err).toMatchObject({ type: 'Error', code: '23505' })
  })
})
