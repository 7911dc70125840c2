import { expect, test } from 'vitest'
import { isOnlyThisComputer, isThisComputer } from '../../src/network/loopback.ts'
import { urlHost } from '../../src/text/url-host.ts'

test.each(['127.0.0.1', '127.1.2.3', 'localhost', 'app.localhost', '::1', '[::1]'])(
  '%s is reached by this computer only',
  (host) => {
    expect(isOnlyThisComputer(urlHost(host))).toBe(true)
    expect(isThisComputer(urlHost(host))).toBe(true)
  },
)

test.each(['0.0.0.0', '::'])('%s is this computer, for others too', (host) => {
  expect(isOnlyThisComputer(urlHost(host))).toBe(false)
  expect(isThisComputer(urlHost(host))).toBe(true)
})

test.each(['gateway.example', '10.0.0.1', 'fe80::1', '127.evil.example', 'localhost.example'])(
  '%s is another',
  (host) => {
    expect(isThisComputer(urlHost(host))).toBe(false)
  },
)
