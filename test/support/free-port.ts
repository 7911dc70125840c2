import { createServer } from 'node:net'

/** Below what systems give to connections and to listeners on port 0, so that none gets it meanwhile. */
const FROM = 20_000
const TO = 32_000

/** Free at this moment, and in all likelihood until it is listened on. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FROM + Math.floor(Math.random() * (TO - FROM))
    if (await isFree(port)) return port
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
