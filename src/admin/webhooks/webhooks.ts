import type { Services } from '../../services/index.ts'

type Print = (line: string) => void
type Listed = Awaited<ReturnType<Services['webhooks']['listAll']>>[number]

export type WebhookAct = 'test' | 'disable' | 'enable'

/** Of the installation, or of a team. */
export async function addWebhook(
  { webhooks }: Services,
  { team, ...given }: { url: string; events: readonly string[]; team: string | undefined },
  print: Print,
): Promise<void> {
  const actor = 'operator' as const
  const owner =
    team === undefined
      ? { of: 'installation' as const, actor }
      : { of: 'team' as const, actor, team }
  const { id, secret } = await webhooks.create(owner, given)
  print(`added ${id}`)
  printSecret(secret, print)
}

export async function listWebhooks({ webhooks }: Services, print: Print): Promise<void> {
  print('WEBHOOK  HOST  OF  STATE  QUEUED  DROPPED  EVENTS')
  for (const webhook of await webhooks.listAll()) print(toLine(webhook))
}

export async function rotateWebhook(
  { webhooks }: Services,
  id: string,
  print: Print,
): Promise<void> {
  const { secret } = await webhooks.rotate(await webhooks.ownerOf(id), id)
  printSecret(secret, print)
}

/** @param done what it is said to be afterwards. */
export async function actOnWebhook(
  { webhooks }: Services,
  act: WebhookAct,
  id: string,
  done: string,
  print: Print,
): Promise<void> {
  await webhooks[act](await webhooks.ownerOf(id), id)
  print(done)
}

export async function deleteWebhook(
  { webhooks }: Services,
  id: string,
  print: Print,
): Promise<void> {
  await webhooks.delete(await webhooks.ownerOf(id), id)
  print('deleted')
}

const printSecret = (secret: string, print: Print) =>
  print(`secret, shown only this once: ${secret}`)

const toLine = ({ id, host, teamName, queued, dropped, events, ...state }: Listed) =>
  [id, host, teamName ?? 'installation', stateOf(state), queued, dropped, events.join(',')].join(
    '  ',
  )

function stateOf({
  disabledReason,
  failingSince,
}: Pick<Listed, 'disabledReason' | 'failingSince'>) {
  if (disabledReason !== null) return `disabled (${disabledReason})`
  return failingSince === null ? 'ok' : `failing since ${failingSince.toISOString()}`
}
