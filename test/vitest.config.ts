import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { PATIENCE } from './support/patience.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

/** They watch a package from the inside, which only works before anybody else has loaded it. */
const SPYING = ['test/crypto/passwords.test.ts']

const everywhere = {
  pool: 'forks' as const,
  // Of a busy machine, on which everything takes five times as long.
  testTimeout: 300_000,
  hookTimeout: 300_000,
  expect: { poll: PATIENCE },
  // In CI a machine that stands still for seconds fails no run. The run names each test that needed
  // its second try (test/support/test-counts.ts).
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
