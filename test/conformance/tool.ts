/**
 * Programs of the MCP project that need a newer Node than the gateway does. npx fetches them, with
 * Node 24, into its own cache: they are no dependencies of ours.
 */

import { execFile } from 'node:child_process'
import { dirname } from 'node:path'

export type Run = { exitCode: number; stdout: string; stderr: string }

/** @param onOutput hears its standard output while it runs. */
export type Tool = (args: string[], cwd: string, onOutput?: (text: string) => void) => Promise<Run>

/** @param specifier package and exact version. */
export async function fetchTool(specifier: string, program: string): Promise<Tool> {
  const npx = ['-y', '-p', 'node@24', '-p', specifier, '-c', `command -v ${program}`]
  const { exitCode, stdout, stderr } = await run('npx', npx, { env: process.env })
  const path = stdout.trim()
  if (exitCode !== 0 || path === '') throw new Error(`npx cannot fetch ${specifier}: ${stderr}`)
  // The folder of the program holds that Node too. HOME: the Inspector keeps state there.
  return (args, cwd, onOutput) => {
    const env = { ...process.env, HOME: cwd, PATH: `${dirname(path)}:${process.env.PATH}` }
    return run(program, args, { cwd, env }, onOutput)
  }
}

/** Of a whole suite, which takes half a minute; each of its scenarios ends by itself after 30 s. */
const TIMEOUT_MS = 900_000

function run(
  command: string,
  args: string[],
  options: { cwd?: string; env: NodeJS.ProcessEnv },
  onOutput?: (text: string) => void,
) {
  return new Promise<Run>((resolve) => {
    const limits = { timeout: TIMEOUT_MS, maxBuffer: 64 * 1024 * 1024 }
    const child = execFile(command, args, { ...options, ...limits }, (error, stdout, stderr) => {
      resolve({ exitCode: error ? (child.exitCode ?? 1) : 0, stdout, stderr })
    })
    if (onOutput) child.stdout?.on('data', onOutput)
    child.stdin?.end()
  })
}
