import { type Request, type RequestHandler, Router } from 'express'
import { aiCatalog, SERVER_CARD_PATH, SERVER_CARD_TYPE, serverCard } from '../../mcp/discovery.ts'
import type { OwnOrigins } from '../../network/own-origins.ts'
import { ICON_PNG, ICON_SVG } from '../icons.ts'

const CACHED_FOR_SECONDS = 3600

/** GET the server card, the AI catalog and the icons: public, readable from any web page. */
export function discoveryRoutes(origins: OwnOrigins, limiter: RequestHandler[]): Router {
  const router = Router()
  const publish = (path: string, type: string, content: (req: Request) => Buffer) => {
    router.get(path, ...limiter, readableAnywhere, (req, res) => {
      res.type(type).send(content(req))
    })
    router.options(path, ...limiter, readableAnywhere, (_req, res) => void res.status(204).end())
  }
  publish(SERVER_CARD_PATH, SERVER_CARD_TYPE, byOrigin(origins, serverCard))
  publish(
    '/.well-known/ai-catalog.json',
    'application/ai-catalog+json',
    byOrigin(origins, aiCatalog),
  )
  publish('/icon.svg', 'image/svg+xml', () => ICON_SVG)
  publish('/icon-96.png', 'image/png', () => ICON_PNG)
  publish('/favicon.ico', 'image/png', () => ICON_PNG)
  return router
}

/** Each of our origins has its own document, which never changes. */
function byOrigin(origins: OwnOrigins, documentOf: (origin: string) => object) {
  const documents = new Map(
    origins.all.map((origin) => [origin, Buffer.from(JSON.stringify(documentOf(origin)))]),
  )
  return (req: Request) => documents.get(origins.askedBy(req)) as Buffer
}

/** Required by the server card extension's discovery document; the last line is for the icons. */
const readableAnywhere: RequestHandler = (_req, res, next) => {
  res.setHeader('Access-Control-Allow-Origin', '*')
  res.setHeader('Access-Control-Allow-Methods', 'GET')
  res.setHeader('Access-Control-Allow-Headers', 'Content-Type')
  res.setHeader('Access-Control-Expose-Headers', 'ETag')
  res.setHeader('Cache-Control', `public, max-age=${CACHED_FOR_SECONDS}`)
  res.setHeader('Cross-Origin-Resource-Policy', 'cross-origin')
  next()
}
