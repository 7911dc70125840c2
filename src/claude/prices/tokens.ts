/**
 * Estimates the tokens of a text: UTF-8 bytes / 3.5, rounded up. For budgets and for streams that
 * broke before the true count arrived; never exact, and about 30 % low on models from 4.7 on.
 */
export function estimateTokens(text: string): number {
  return Math.ceil(Buffer.byteLength(text, 'utf8') / 3.5)
}
