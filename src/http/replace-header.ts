import type { IncomingMessage } from 'node:http'

/** Replaces it in both forms: the SDKs read `rawHeaders`, other code reads `headers`. */
export function replaceHeader(req: IncomingMessage, name: string, value: string): void {
  req.headers[name] = value
  const others: string[] = []
  for (let i = 0; i < req.rawHeaders.length; i += 2) {
    const [given = '', text = ''] = req.rawHeaders.slice(i, i + 2)
    if (given.toLowerCase() !== name) others.push(given, text)
  }
  req.rawHeaders = [...others, name, value]
}
