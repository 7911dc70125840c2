/**
 * Text in whole characters. A character outside the Basic Multilingual Plane is two code units in
 * JavaScript, a surrogate pair, and half of one is not valid text: PostgreSQL refuses it, other
 * programs display or drop it in different ways.
 */

/** Drops half a pair at the end, whose other half may still come, and replaces any other. */
export function wholeText(text: string): string {
  if (text.isWellFormed()) return text
  return text.replace(/[\ud800-\udbff]$/, '').toWellFormed()
}

/** The beginning of a text, at most `maxLength` code units. */
export const beginningOf = (text: string, maxLength: number) => wholeText(text.slice(0, maxLength))

/** The end of a text, at most `maxLength` code units. */
export const endOf = (text: string, maxLength: number) =>
  wholeText(text.slice(-maxLength).replace(/^[\udc00-\udfff]/, ''))
