/**
 * What the official conformance suite is asked to check, and what of it cannot pass here.
 *
 * Left out are scenarios that call tools, prompts and resources which only the suite's own fixture
 * server has, and two that test nothing on a server without sessions: server-session-lifecycle,
 * and server-sse-multiple-streams before 2026-07-28.
 */

export type Scenario = {
  suite: '0.1.16' | '0.2.0-alpha.12'
  revision: '2025-11-25' | '2026-07-28'
  name: string
  /** Sent with an access token: it reads a resource. */
  signedIn?: true
}

const legacy = [
  'server-initialize',
  'ping',
  'tools-list',
  'resources-list',
  'dns-rebinding-protection',
]

const modern = [
  'server-stateless',
  'http-header-validation',
  'tools-list',
  'resources-list',
  'server-sse-multiple-streams',
  'dns-rebinding-protection',
]

const modernSignedIn = ['caching', 'sep-2164-resource-not-found']

export const scenarios: readonly Scenario[] = [
  ...legacy.map((name) => ({ suite: '0.1.16', revision: '2025-11-25', name }) as const),
  ...legacy.map((name) => ({ suite: '0.2.0-alpha.12', revision: '2025-11-25', name }) as const),
  ...modern.map((name) => ({ suite: '0.2.0-alpha.12', revision: '2026-07-28', name }) as const),
  ...modernSignedIn.map(
    (name) => ({ suite: '0.2.0-alpha.12', revision: '2026-07-28', name, signedIn: true }) as const,
  ),
]

const NEEDS_FIXTURE = 'calls a tool that only the fixture server of the suite has'

/** Failures that say nothing of the gateway, by `scenario:check`, and why. One that passes is stale. */
export const expectedFailures: ReadonlyMap<string, string> = new Map([
  ['server-stateless:sep-2575-server-rejects-undeclared-capability', NEEDS_FIXTURE],
  ['server-stateless:sep-2575-missing-capability-http-400', NEEDS_FIXTURE],
  ['server-stateless:sep-2575-http-server-no-independent-requests-on-stream', NEEDS_FIXTURE],
  ['server-stateless:sep-2575-server-no-log-without-loglevel', NEEDS_FIXTURE],
])
