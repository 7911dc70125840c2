import { type RequestHandler, Router } from 'express'
import { aiCatalog, SERVER_CARD_PATH, SERVER_CARD_TYPE, serverCard } from '../../mcp/discovery.ts'
import { ICON_PNG, ICON_SVG } from '../icons.ts'

const CACHED_FOR_SECONDS = 3600

/** GET the server card, the AI catalog and the icons: public, and readable from any web page. */
export function discoveryRoutes(publicUrl: string, limiter: RequestHandler[]): Router {
  const router = Router()
  const publish = (path: string, type: string, content: Buffer) => {
    router.get(path, ...limiter, readableAnywhere, (_req, res) => void res.type(type).send(content))
    router.options(path, ...limiter, readableAnywhere, (_req, res) => void res.status(204).end())
  }
  publish(SERVER_CARD_PATH, SERVER_CARD_TYPE, toJson(serverCard(publicUrl)))
  publish(
    '/.well-known/ai-catalog.json',
    'application/ai-catalog+json',
    toJson(aiCatalog(publicUrl)),
  )
  publish('/icon.svg', 'image/svg+xml', Buffer.from(ICON_SVG))
  publish('/icon-96.png', 'image/png', ICON_PNG)
  publish('/favicon.ico', 'image/png', ICON_PNG)
  return router
}

const toJson = (document: object) => Buffer.from(JSON.stringify(document))

/** As the discovery document of the server card extension asks for; the last line lets pages show the icons. */
const readableAnywhere: RequestHandler = (_req, res, next) => {
  res.setHeader('Access-Control-Allow-Origin', '*')
  res.setHeader('Access-Control-Allow-Methods', 'GET')
  res.setHeader('Access-Control-Allow-Headers', 'Content-Type')
  res.setHeader('Access-Control-Expose-Headers', 'ETag')
  res.setHeader('Cache-Control', `public, max-age=${CACHED_FOR_SECONDS}`)
  res.setHeader('Cross-Origin-Resource-Policy', 'cross-origin')
  next()
}
