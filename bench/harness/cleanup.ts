/** Nothing outlives the harness: not its processes, not its folders, not after Ctrl-C. */

type Step = () => unknown

const steps: Step[] = []
let ending: Promise<void> | undefined

/** Runs when the harness ends, however it does, newest first. */
export function onExit(step: Step): void {
  steps.push(step)
}

export function cleanUp(): Promise<void> {
  ending ??= runSteps()
  return ending
}

async function runSteps(): Promise<void> {
  for (const step of steps.splice(0).reverse()) {
    try {
      await step()
    } catch (error) {
      process.stderr.write(`cleaning up: ${error}\n`)
    }
  }
}

/** Whether the harness is on its way out: what fails from then on says nothing. */
export const isEnding = () => ending !== undefined

export function cleanUpOnSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    // A terminal and a wrapper may both pass on the same Ctrl-C.
    process.on(signal, () => {
      if (!isEnding()) process.stderr.write(`\n${signal}: stopping what was started\n`)
      void cleanUp().then(() => process.exit(130))
    })
  }
}
