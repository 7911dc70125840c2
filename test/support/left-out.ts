/** What some tests need of the machine. A run without it says which tests it leaves out, and why. */

type Lack = {
  leavesOut: string
  because: string
  /** A variable of the environment that makes the lack an error where it is `true`. */
  demandedBy?: string
}

/** @throws Error for what is demanded and is not there. */
export function isGiven(isThere: boolean, { leavesOut, because, demandedBy }: Lack): boolean {
  if (isThere) return true
  if (demandedBy !== undefined && process.env[demandedBy] === 'true') {
    throw new Error(`${demandedBy} is true, but ${because}`)
  }
  process.stdout.write(`left out: ${leavesOut}, since ${because}\n`)
  return false
}

/** For tests of what the kernel tells in /proc. */
export const isLinux = (leavesOut: string): boolean =>
  isGiven(process.platform === 'linux', { leavesOut, because: 'this is no Linux' })
