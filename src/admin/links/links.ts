import type { Services } from '../../services/index.ts'

type Print = (line: string) => void
type Listed = Awaited<ReturnType<Services['linkAdministration']['list']>>['links'][number]

const COLUMNS = 'LINK  CONVERSATION  OWNER  FOR  MADE  ENDS  VIEWS'

/** One page: ids and figures, and how to get the next one. */
export async function listLinks(
  { linkAdministration }: Services,
  page: { after: string | undefined; limit: number },
  print: Print,
): Promise<void> {
  const { links, next } = await linkAdministration.list(page)
  print(COLUMNS)
  for (const link of links) print(toLine(link))
  if (next !== undefined) print(`There are more: links list --limit ${page.limit} --after ${next}`)
}

export async function revokeAllLinks(
  { linkAdministration }: Services,
  isOnlyPublic: boolean,
  print: Print,
): Promise<void> {
  const ended = await linkAdministration.revokeAll(isOnlyPublic)
  print(`${ended} ${isOnlyPublic ? 'public links' : 'links'} ended`)
}

const toLine = (link: Listed) =>
  [
    link.id,
    link.conversationId,
    link.ownerId,
    link.audience,
    toDay(link.createdAt),
    toDay(link.expiresAt),
    link.views,
  ].join('  ')

/** UTC. */
const toDay = (instant: Date) => instant.toISOString().slice(0, 10)
