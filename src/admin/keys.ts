import type { Services } from '../services/index.ts'

type Print = (line: string) => void
type KeyTerm = Awaited<ReturnType<Services['signingKeys']['list']>>[number]

export async function listKeys({ signingKeys }: Services, print: Print): Promise<void> {
  for (const term of await signingKeys.list()) print(`${term.kid}  ${describe(term)}`)
}

/** Prints what was made and all keys there are then. */
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
