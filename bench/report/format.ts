/** Numbers as they are printed. */

/** Three digits that count, thousands apart. */
export function figure(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return 'n/a'
  const magnitude = Math.abs(value)
  const decimals = magnitude >= 100 ? 0 : magnitude >= 10 ? 1 : 2
  return value.toLocaleString('en-US', {
    minimumFractionDigits: decimals,
    maximumFractionDigits: decimals,
  })
}

export const megabytes = (bytes: number | undefined) =>
  bytes === undefined ? 'n/a' : figure(bytes / 1_048_576)
