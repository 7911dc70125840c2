/**
 * `npm run conformance`: the real gateway under the official MCP conformance suite and the MCP
 * Inspector. Needs the package registry, for the two programs; the gateway itself talks to nobody.
 */

import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MCP_PATH, OPEN_MCP_PATH } from '../../src/network/mcp-addresses.ts'
import { startClaudeStandIn } from '../support/claude-stand-in/server.ts'
import { register } from '../support/clients.ts'
import { freePort } from '../support/free-port.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { newPerson } from '../support/oauth-person.ts'
import { AUTHORIZATION_SUITE, runAuthorization } from './authorization.ts'
import { startBearerProxy } from './bearer-proxy.ts'
import { tryInspector } from './inspector.ts'
import { expectedFailures, type Scenario, scenarios } from './scenarios.ts'
import { fetchTool, type Tool } from './tool.ts'
import { beyond, runWholeSuites } from './whole-suites.ts'

type Check = { id: string; status: string; errorMessage?: string }
type Outcome = { name: string; passed: number; expected: number; failures: string[] }

const folder = await mkdtemp(join(tmpdir(), 'gateway-conformance-'))
const claude = await startClaudeStandIn()
const port = await freePort()
const gateway = await startGatewayProcess({
  PORT: String(port),
  PUBLIC_URL: `http://127.0.0.1:${port}`,
  DATA_DIR: join(folder, 'data'),
  ANTHROPIC_BASE_URL: claude.url,
  ANONYMOUS_REQUESTS_PER_MINUTE: '10000',
  REQUESTS_PER_MINUTE: '10000',
})
const { accessToken } = await register(`${gateway.url}/mcp`)
const person = newPerson(gateway.url)
const proxy = await startBearerProxy(gateway.url, accessToken)
try {
  const outcomes = [
    ...(await runSuite()),
    ...(await runWhole()),
    ...(await runAuthorizationSuite()),
    ...(await runInspector()),
  ]
  process.exitCode = printTotal(outcomes) ? 0 : 1
} finally {
  await proxy.close()
  await gateway.stop()
  await claude.close()
  await rm(folder, { recursive: true, force: true })
}

async function runSuite(): Promise<Outcome[]> {
  const suites = new Map<string, Tool>()
  const outcomes: Outcome[] = []
  const excused = new Set<string>()
  for (const scenario of scenarios) {
    const { suite } = scenario
    const specifier = `@modelcontextprotocol/conformance@${suite}`
    const tool = suites.get(suite) ?? (await fetchTool(specifier, 'conformance'))
    suites.set(suite, tool)
    outcomes.push(print(judge(scenario, await runScenario(tool, scenario), excused)))
  }
  const stale = [...expectedFailures.keys()].filter((key) => !excused.has(key))
  const failures = stale.map((key) => `${key} is expected to fail, but does not: remove it`)
  const list = { name: 'list of expected failures is up to date', passed: 0, expected: 0, failures }
  return failures.length > 0 ? [...outcomes, print(list)] : outcomes
}

async function runScenario(tool: Tool, { name, revision, suite, signedIn }: Scenario) {
  const output = join(folder, [suite, revision, name].join('-'))
  // The DNS rebinding checks ask for a URL with `localhost`.
  const url = signedIn
    ? `${proxy.url}${MCP_PATH}`
    : `${gateway.url.replace('127.0.0.1', 'localhost')}${OPEN_MCP_PATH}`
  const version = suite === '0.1.16' ? [] : ['--spec-version', revision]
  const args = ['server', '--url', url, '--scenario', name, ...version, '-o', output]
  const run = await tool(args, folder)
  const [result] = await readdir(output).catch(() => [])
  if (result === undefined) throw new Error(`${name} did not run: ${run.stdout}${run.stderr}`)
  const text = await readFile(join(output, result, 'checks.json'), 'utf8')
  return JSON.parse(text) as Check[]
}

function judge({ suite, revision, name }: Scenario, checks: Check[], excused: Set<string>) {
  const passed = checks.filter(({ status }) => status === 'SUCCESS').length
  const failed = checks.filter(({ status }) => status === 'FAILURE' || status === 'WARNING')
  const isExcused = ({ id }: Check) => expectedFailures.has(`${name}:${id}`)
  const expected = failed.filter(isExcused)
  for (const { id } of expected) excused.add(`${name}:${id}`)
  const failures = failed
    .filter((check) => !isExcused(check))
    .map(({ id, status, errorMessage = '' }) => `${status} ${id} ${errorMessage}`)
  if (passed === 0) failures.push('nothing was checked')
  return { name: `${revision} ${name} (${suite})`, passed, expected: expected.length, failures }
}

/** The whole suites, on the suite's own tools, resources and prompts behind the gateway's bindings. */
async function runWhole(): Promise<Outcome[]> {
  const tool = await fetchTool(AUTHORIZATION_SUITE, 'conformance')
  const results = await runWholeSuites(tool, folder, claude.url)
  return results.map(({ revision, name, checks }) => print(judgeWhole(revision, name, checks)))
}

function judgeWhole(revision: string, name: string, checks: Check[]): Outcome {
  const isBeyond = beyond.has(`${revision} ${name}`)
  const passed = checks.filter(({ status }) => status === 'SUCCESS').length
  const failed = checks.filter(({ status }) => status === 'FAILURE')
  const failures = isBeyond
    ? []
    : failed.map(({ id, errorMessage = '' }) => `FAILURE ${id} ${errorMessage}`)
  if (isBeyond && failed.length === 0) failures.push('is expected to fail, but does not: remove it')
  const expected = isBeyond ? failed.length : 0
  return { name: `whole suite: ${revision} ${name}`, passed, expected, failures }
}

async function runAuthorizationSuite(): Promise<Outcome[]> {
  const tool = await fetchTool(AUTHORIZATION_SUITE, 'conformance')
  const scenarios = await runAuthorization(tool, gateway.url, folder, person)
  return [...scenarios].map(([name, checks]) => {
    const passed = checks.filter(({ status }) => status === 'SUCCESS').length
    const failures = checks
      .filter(({ status }) => status !== 'SUCCESS')
      .map(({ id, status, errorMessage = '' }) => `${status} ${id} ${errorMessage}`)
    if (passed === 0) failures.push('nothing was checked')
    return print({ name: `authorization: ${name}`, passed, expected: 0, failures })
  })
}

/** With a personal access token, which the person who approved above makes on the account page. */
async function runInspector(): Promise<Outcome[]> {
  const inspector = await fetchTool('@modelcontextprotocol/inspector@2.12.0', 'mcp-inspector')
  const token = await person.newAccessToken('Inspector')
  const calls = await tryInspector(inspector, `${gateway.url}/mcp`, token, folder)
  return calls.map(({ what, ok, problem }) =>
    print({ name: what, passed: ok ? 1 : 0, expected: 0, failures: ok ? [] : [problem] }),
  )
}

function print(outcome: Outcome): Outcome {
  const { name, passed, expected, failures } = outcome
  const excuse = expected > 0 ? `, ${expected} failed as expected` : ''
  console.log(`${name.padEnd(56)} ${passed} passed, ${failures.length} failed${excuse}`)
  for (const failure of failures) console.log(`    ${failure}`)
  return outcome
}

/** @returns whether all is well. */
function printTotal(outcomes: Outcome[]): boolean {
  const sum = (of: (outcome: Outcome) => number) => outcomes.reduce((sum, one) => sum + of(one), 0)
  const failed = sum(({ failures }) => failures.length)
  console.log(
    `conformance: ${sum(({ passed }) => passed)} checks passed, ${failed} failed, ` +
      `${sum(({ expected }) => expected)} failed as expected`,
  )
  return failed === 0
}
