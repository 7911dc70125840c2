/** Every case, in the order they run. */

import type { Case } from '../harness/case.ts'
import { addedLatency } from './added-latency.ts'
import { auditLog } from './audit-log.ts'
import { conversations } from './conversations.ts'
import { embedded } from './embedded.ts'
import { endurance } from './endurance.ts'
import { history } from './history.ts'
import { mcpCalls } from './mcp-calls.ts'
import { messagesApi } from './messages-api.ts'
import { messagesStreams } from './messages-streams.ts'
import { replicas } from './replicas.ts'
import { search } from './search.ts'
import { sendMessage } from './send-message.ts'
import { start } from './start.ts'
import { streaming } from './streaming.ts'
import { teamSends } from './team-sends.ts'
import { thousandStreams } from './thousand-streams.ts'
import { upstreamAlone } from './upstream-alone.ts'
import { usage } from './usage.ts'

export const CASES: readonly Case[] = [
  upstreamAlone,
  sendMessage,
  teamSends,
  messagesApi,
  messagesStreams,
  addedLatency,
  streaming,
  mcpCalls,
  embedded,
  endurance,
  thousandStreams,
  history,
  replicas,
  start,
  conversations,
  search,
  usage,
  auditLog,
]
