import { describe, expect, test } from 'vitest'
import { OwnOrigins } from '../../src/network/own-origins.ts'

const askedBy = (publicUrl: string, host: string | undefined) =>
  new OwnOrigins(publicUrl).askedBy({ headers: host === undefined ? {} : { host } })

describe.each([
  'http://127.0.0.1:3000',
  'http://localhost:3000',
  'http://[::1]:3000',
  'http://0.0.0.0:3000',
  'http://[::]:3000',
  'http://gateway.localhost:3000',
  'http://127.0.0.53:3000',
])('of PUBLIC_URL %s', (publicUrl) => {
  test.each(['localhost', '127.0.0.1', '[::1]', 'LocalHost'])('%s is a name', (name) => {
    expect(askedBy(publicUrl, `${name}:3000`)).toBe(`http://${name.toLowerCase()}:3000`)
  })

  test.each([
    undefined,
    '',
    'localhost',
    'localhost:3001',
    'localhost:03000',
    'localhost.:3000',
    '127.0.0.2:3000',
    '127.1:3000',
    '::1:3000',
    '[::ffff:127.0.0.1]:3000',
    'evil.example:3000',
    'localhost.evil.example:3000',
    'localhost:3000.evil.example',
    'evil.localhost:3000',
    'evil@localhost:3000',
    'localhost:3000@evil.example',
    'localhost:3000/evil',
    'localhost:3000,evil.example',
    '__proto__',
  ])('%j is none', (host) => expect(askedBy(publicUrl, host)).toBe(publicUrl))
})

test.each([
  ['http://localhost', 'http://127.0.0.1', '80'],
  ['https://localhost', 'https://127.0.0.1', '443'],
])('of %s the port may be written or not', (publicUrl, other, port) => {
  for (const host of ['127.0.0.1', `127.0.0.1:${port}`]) {
    expect(askedBy(publicUrl, host)).toBe(other)
  }
})

test.each(['https://gateway.example', 'http://192.168.1.5:3000', 'https://localhost.example'])(
  '%s has no other names',
  (publicUrl) => {
    const { host, port } = new URL(publicUrl)
    expect(new OwnOrigins(publicUrl).all).toEqual([publicUrl])
    for (const name of ['localhost', '127.0.0.1', '[::1]', 'evil.example', host]) {
      expect(askedBy(publicUrl, port ? `${name}:${port}` : name)).toBe(publicUrl)
    }
  },
)

test('each is there once, the public one first', () => {
  const localhost = new OwnOrigins('http://localhost:3000')
  expect(localhost.all).toEqual([
    'http://localhost:3000',
    'http://127.0.0.1:3000',
    'http://[::1]:3000',
  ])
})
