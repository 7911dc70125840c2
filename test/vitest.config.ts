import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const root = fileURLToPath(new URL('..', import.meta.url))

/** They watch a package from the inside, which only works before anybody else has loaded it. */
const SPYING = ['test/crypto/passwords.test.ts']

const everywhere = {
  pool: 'forks' as const,
  // Of a busy machine, on which everything takes five times as long.
  testTimeout: 300_000,
  hookTimeout: 300_000,
  expect: { poll: { timeout: 60_000 } },
  // Where a run stands for a submission, a machine that stood still for seconds does not fail it;
  // each second try is named at the end of the run (test/support/test-counts.ts).
  retry: process.env.CI ? 1 : 0,
  unstubEnvs: true,
  unstubGlobals: true,
  restoreMocks: true,
}

export default defineConfig({
  root,
  test: {
    globalSetup: ['test/support/global-setup.ts'],
    // One process per core for many files, instead of one per file: a third less time. Our own
    // modules are loaded afresh for each file, packages are not.
    maxWorkers: 4,
    projects: [
      {
        root,
        test: {
          ...everywhere,
          name: 'shared',
          setupFiles: ['test/support/one-day.ts', 'test/support/cheap-passwords.ts'],
          include: ['test/**/*.test.ts'],
          exclude: SPYING,
          isolate: false,
        },
      },
      { root, test: { ...everywhere, name: 'spying', include: SPYING, isolate: true } },
    ],
  },
})
