import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import express, { type ErrorRequestHandler, type RequestHandler } from 'express'
import { expect, test } from 'vitest'
import { inOrder } from '../../../src/http/mcp/in-order.ts'

async function ask(handlers: readonly RequestHandler[]): Promise<string> {
  const app = express()
  app.use(inOrder(handlers))
  app.use((_req, res) => void res.send('what comes after'))
  const onError: ErrorRequestHandler = (error, _req, res, _next) =>
    void res.status(500).send(`error: ${error.message}`)
  app.use(onError)
  const server = createServer(app).listen(0, '127.0.0.1')
  await once(server, 'listening')
  try {
    const { port } = server.address() as AddressInfo
    return await (await fetch(`http://127.0.0.1:${port}/`)).text()
  } finally {
    server.close()
  }
}

test('one after the other, also when one takes its time, and then what comes after', async () => {
  const order: number[] = []
  const step = (number: number): RequestHandler => {
    return async (_req, _res, next) => {
      await new Promise((resolve) => setTimeout(resolve, 5 - number))
      order.push(number)
      next()
    }
  }
  expect(await ask([step(1), step(2), step(3)])).toBe('what comes after')
  expect(order).toEqual([1, 2, 3])
  expect(await ask([])).toBe('what comes after')
})

test('one that answers is the last', async () => {
  const refuse: RequestHandler = (_req, res) => void res.send('refused')
  const never: RequestHandler = () => expect.unreachable()
  expect(await ask([refuse, never])).toBe('refused')
})

const fails: [string, RequestHandler][] = [
  ['thrown', () => fail()],
  ['thrown later', async () => fail()],
  ['passed on', (_req, _res, next) => next(new Error('of a handler'))],
]

test.each(fails)('an error that is %s skips the rest', async (_how, failing) => {
  const pass: RequestHandler = (_req, _res, next) => next()
  const passLater: RequestHandler = async (_req, _res, next) => next()
  const never: RequestHandler = () => expect.unreachable()
  for (const handlers of [[failing], [pass, failing, never], [passLater, failing, never]]) {
    expect(await ask(handlers)).toBe('error: of a handler')
  }
})

function fail(): never {
  throw new Error('of a handler')
}
