import { expect, test } from 'vitest'
import { loadConfig } from '../../src/config/config.ts'

const ENCRYPTION_KEY = Buffer.from(Array.from({ length: 32 }, (_, i) => (i * 37) % 251)).toString(
  'base64',
)
const load = (DATABASE_URL: string) => () => loadConfig({ DATABASE_URL, ENCRYPTION_KEY })

test.each([
  'postgres://ada@db/gateway',
  'postgresql://ada:p%2Fss%23w%3Frd@db:5432/gateway?sslmode=verify-full',
  'postgres://ada:p@ss:w0rd@db/gateway',
  'postgres://ada:100%safe@db/gateway',
  'postgres://ada@[::1]:5433/gateway?application_name=a@b',
  'postgres://db:5432/gateway?user=ada&options=-c%20a=b@c',
  'postgres://ada:secret@/gateway?host=/var/run/postgresql',
  'postgres:///gateway',
  'postgres://ada@db/gateway?channel_binding=require&target_session_attrs=any&sslcrl=a&ssl=true',
])('%s can be one', (url) => {
  expect(load(url)).not.toThrow()
})

test.each([
  ['postgres://ada:hunter#2@db/gateway', /%23.*DATABASE_PASSWORD/],
  ['postgres://ada:12#hunter@db/gateway', /%23.*DATABASE_PASSWORD/],
  ['postgres://ada:hunter/2@db/gateway', /%2F.*DATABASE_PASSWORD/],
  ['postgres://ada:12/hunter@db/gateway', /%2F.*DATABASE_PASSWORD/],
  ['postgres://ada:hunter?2@db/gateway', /%3F.*DATABASE_PASSWORD/],
  ['postgres://ada:12?hunter@db/gateway', /%3F.*DATABASE_PASSWORD/],
  ['postgres://ada:hunter@one,two:5432/gateway', /several hosts.*leads to the primary/],
  ['postgres://ada:hunter@one:5432,two:5432/gateway', /several hosts/],
  ['postgres://ada:hunter@/gateway?host=one,two', /several hosts/],
  ['postgres://ada:hunter@db:port/gateway', /cannot be read as a URL/],
  ['"postgres://ada:hunter@db/gateway"', /quotes/],
  ['postgres://ada:hunter@db/gateway?sslmod=require', /parameter sslmod, .*write sslmode,/],
  ['postgres://ada:hunter@db/gateway?ssl_mode=require', /parameter ssl_mode, .*write sslmode,/],
  ['postgres://ada:hunter@db/gateway?SSLMODE=require', /parameter SSLMODE, .*write sslmode,/],
  ['postgres://ada:hunter@/gateway?shema=hunter', /parameter shema, .*write schema,/],
  ['mysql://ada:hunter@db/gateway', /must look like/],
  ['host=db user=ada password=hunter', /must look like/],
  ['sqlite:///hunter.db', /SQLite is not supported/],
])('%s is refused, and not repeated', (url, text) => {
  expect(load(url)).toThrow(text)
  expect(load(url)).toThrow(/^These settings are wrong or missing:\n {2}DATABASE_URL: [^\n]*$/)
  expect(load(url)).not.toThrow(/hunter/)
})
