/** What a run was made on. */

import { cpus, loadavg, release, totalmem, type } from 'node:os'

export const loadAverage = () =>
  loadavg()
    .map((load) => load.toFixed(2))
    .join(' ')

export function machine(): string[] {
  const processors = cpus()
  return [
    `Node.js ${process.version}`,
    `${type()} ${release()} ${process.arch}`,
    `${processors.length} x ${processors[0]?.model.trim() || 'CPU'}`,
    `${Math.round(totalmem() / 2 ** 30)} GB of memory`,
  ]
}
