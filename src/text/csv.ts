/**
 * RFC 4180. A text that a spreadsheet would run as a formula gets an apostrophe in front, and `;`,
 * the other separator of spreadsheets, is quoted too: tags and model names come from users
 * (OWASP: CSV Injection).
 */
export function csvField(value: string | number | null): string {
  const text = value === null ? '' : String(value)
  const harmless =
    typeof value === 'string' && /^[=+\-@\t\r\n＝＋－＠]/.test(text) ? `'${text}` : text
  return /[",;\n\r]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless
}

/** One line with its line break. */
export const csvLine = (fields: readonly (string | number | null)[]): string =>
  `${fields.map(csvField).join(',')}\r\n`
