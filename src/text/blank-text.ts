/**
 * White space of any kind, control characters, and invisible characters: JavaScript's trim() and
 * Python's strip() differ in some of them, and a text of zero-width characters looks empty.
 */
const SOMETHING = /[^\p{White_Space}\p{Default_Ignorable_Code_Point}\p{Cc}\u2800]/u

/** Whether a text has nothing visible. Anthropic refuses a request with such a text. */
export const isBlank = (text: string) => !SOMETHING.test(text)
