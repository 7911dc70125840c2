/** Once per run: which databases there are, and the last lines of the run. */

import type { TestProject } from 'vitest/node'
import { openDesk } from './database-desk.ts'
import { findPostgresql } from './postgresql-cluster.ts'
import { countTests, namesOfTrouble } from './test-counts.ts'

declare module 'vitest' {
  interface ProvidedContext {
    databaseDesk: string
    databaseKinds: ('embedded' | 'postgresql')[]
  }
}

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const source = findPostgresql(process.env)
  if (!source && process.env.REQUIRE_POSTGRESQL === 'true') {
    throw new Error(
      'REQUIRE_POSTGRESQL is true, but TEST_DATABASE_URL is not set and no PostgreSQL is installed',
    )
  }
  const desk = await openDesk(source)
  project.provide('databaseDesk', desk.url)
  project.provide('databaseKinds', source ? ['embedded', 'postgresql'] : ['embedded'])
  return async () => {
    const used = await desk.used()
    await desk.close()
    const without = '; PostgreSQL left out: no TEST_DATABASE_URL, and none is installed'
    for (const line of namesOfTrouble(project.vitest)) process.stdout.write(`${line}\n`)
    process.stdout.write(`databases: ${used.join(', ') || 'none needed'}${source ? '' : without}\n`)
    process.stdout.write(`${countTests(project.vitest)}\n`)
  }
}
