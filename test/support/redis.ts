import { spawnSync } from 'node:child_process'
import { isGiven } from './left-out.ts'

export const hasRedis = isGiven(spawnSync('redis-server', ['--version']).status === 0, {
  leavesOut: 'tests with Redis',
  because: 'redis-server is not installed',
})
