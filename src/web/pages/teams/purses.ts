/** The choice of teams whose money a connection or a token may spend. */

import type { Request } from 'express'
import type { Caller } from '../../../services/access/caller.ts'
import type { Services } from '../../../services/index.ts'
import { checkboxes } from '../../kit/form.ts'
import { chosenValues } from '../../kit/forms.ts'
import type { Html } from '../../kit/html.ts'

/** Team ids with their names. */
export type Purses = readonly { id: string; name: string }[]

/** Those that the visitor can choose: their teams that are in use. */
export const pursesOf = async ({ teams }: Pick<Services, 'teams'>, caller: Caller) =>
  (await teams.list(caller)).filter(({ archivedAt }) => archivedAt === null)

/** The ids that were ticked, of the visitor's teams. */
export function chosenPurses(req: Request, purses: Purses): string[] {
  const chosen = chosenValues(req, 'purses')
  return purses.filter(({ id }) => chosen.includes(id)).map(({ id }) => id)
}

/** Nothing for a visitor without a team. Never ticked in advance: it is money of others. */
export const pursesBoxes = (purses: Purses): Html | false =>
  purses.length > 0 &&
  checkboxes(
    {
      name: 'purses',
      legend: 'Besides your own key, it may spend the money of',
      choices: purses.map(({ id, name }) => ({ value: id, label: name, isChosen: false })),
    },
    { values: {}, errors: {} },
  )
