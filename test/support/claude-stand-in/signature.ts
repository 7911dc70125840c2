import { createHmac } from 'node:crypto'

/** Public on purpose: it only has to tell this server's signatures from made-up ones. */
const SECRET = 'claude-stand-in'

/** The `signature` of a thinking block: names the model and covers the thinking text. */
export function sign(thinking: string, modelId: string): string {
  return `${modelId}.${digest(thinking, modelId)}`
}

/** @returns the id of the model that signed, or undefined when the signature does not verify. */
export function signedBy(thinking: string, signature: string): string | undefined {
  const [modelId = '', mark] = signature.split('.')
  return mark === digest(thinking, modelId) ? modelId : undefined
}

function digest(thinking: string, modelId: string): string {
  return createHmac('sha256', SECRET).update(`${modelId}\n${thinking}`).digest('base64url')
}
