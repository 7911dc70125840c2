import type { Services } from '../services/index.ts'

type Print = (line: string) => void
type KeyUse = Awaited<ReturnType<Services['encryptionKeys']['list']>>[number]
type KeyTerm = Awaited<ReturnType<Services['signingKeys']['list']>>[number]

export async function listKeys({ signingKeys }: Services, print: Print): Promise<void> {
  for (const term of await signingKeys.list()) print(`${term.kid}  ${describe(term)}`)
}

/** Prints the new key, then all keys. */
export async function rotateKeys(
  services: Services,
  dropOld: boolean,
  print: Print,
): Promise<void> {
  const kid = await services.signingKeys.rotate({ dropOld })
  print(`new signing key ${kid}`)
  if (dropOld) print('the older keys are gone: every access token they signed has ended')
  await listKeys(services, print)
}

function describe({ state, signsFrom, verifiesUntil }: KeyTerm): string {
  const until = verifiesUntil ? `, verifies until ${verifiesUntil.toISOString()}` : ''
  if (state === 'next') return `verifies, signs from ${signsFrom.toISOString()}`
  if (state === 'signing') return `signs since ${signsFrom.toISOString()}${until}`
  return `signs no more${until}`
}

/** One line per key, with advice for the operator. */
export async function listEncryptionKeys(
  { encryptionKeys }: Services,
  print: Print,
): Promise<void> {
  for (const { keyId, state, counts } of await encryptionKeys.list()) {
    const uses = counts.map(({ kind, count }) => `${count} ${kind}`).join(', ')
    print(`${keyId ?? 'no key'.padEnd(KEY_ID_DIGITS)}  ${STATES[state]}: ${uses || 'nothing'}`)
    const passwords = counts.find(({ kind }) => kind === 'passwords')?.count ?? 0
    const advice = ADVICE[state]
    if (passwords > 0 && advice !== undefined) print(`  ${advice}`)
  }
}

const KEY_ID_DIGITS = 16
const STATES: Record<KeyUse['state'], string> = {
  current: 'ENCRYPTION_KEY',
  previous: 'ENCRYPTION_KEYS_PREVIOUS',
  missing: 'NOT CONFIGURED',
  none: 'of an older version',
}
const ADVICE: Partial<Record<KeyUse['state'], string>> = {
  previous:
    'Passwords move when their users sign in. Without this key those who have not yet need user reset-password.',
  missing:
    'Users with these passwords cannot sign in: add the key to ENCRYPTION_KEYS_PREVIOUS, or user reset-password.',
  none: 'These passwords come under ENCRYPTION_KEY when their users sign in.',
}
