/**
 * What counts as white space somewhere, or is never visible: JavaScript's trim() and Python's strip()
 * differ in the information separators (1C to 1F), the next line (85) and the byte order mark, and a
 * text of zero-width characters looks empty to everybody.
 */
const SOMETHING = /[^\p{White_Space}\p{Default_Ignorable_Code_Point}\x1c-\x1f\u2800]/u

/** Whether there is nothing to read in it. Anthropic refuses a request with such a text. */
export const isBlank = (text: string) => !SOMETHING.test(text)
