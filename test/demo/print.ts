/** Plain text for a terminal of 80 columns. */

const WIDTH = 76
const LABEL_WIDTH = 14

export function heading(text: string): void {
  console.log(`\n${text}`)
}

/** A label and its text, wrapped beside it. */
export function field(label: string, text: string | number | null): void {
  const lines = wrapped(String(text ?? 'none'), WIDTH - LABEL_WIDTH)
  for (const [i, line] of lines.entries()) {
    console.log(`  ${(i === 0 ? label : '').padEnd(LABEL_WIDTH)}${line}`)
  }
}

export function shortened(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length)}...`
}

function wrapped(text: string, width: number): string[] {
  const lines = ['']
  for (const word of text.split(' ')) {
    const line = lines[lines.length - 1] as string
    const longer = line === '' ? word : `${line} ${word}`
    if (longer.length <= width || line === '') lines[lines.length - 1] = longer
    else lines.push(word)
  }
  return lines
}
