/**
 * Text in whole characters. A character outside the Basic Multilingual Plane is two code units in
 * JavaScript, a surrogate pair, and half of one is no text: PostgreSQL refuses it, other programs
 * show or drop it each in their own way.
 */

/** Half a pair at the end is left out, as its other half may still come; any other is replaced. */
export function wholeText(text: string): string {
  if (text.isWellFormed()) return text
  return text.replace(/[\ud800-\udbff]$/, '').toWellFormed()
}

/** The beginning of a text, of at most so many code units. */
export const beginningOf = (text: string, maxLength: number) => wholeText(text.slice(0, maxLength))

/** The end of a text, of at most so many code units. */
export const endOf = (text: string, maxLength: number) =>
  wholeText(text.slice(-maxLength).replace(/^[\udc00-\udfff]/, ''))
