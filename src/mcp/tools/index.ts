import type { Tool } from '../tool.ts'
import { authenticateUser } from './authenticate-user.ts'
import { cancelMessage } from './cancel-message.ts'
import { changePassword } from './change-password.ts'
import { deleteMyAccount } from './delete-my-account.ts'
import { exportMyData } from './export-my-data.ts'
import { getBudget } from './get-budget.ts'
import { getConversationHistory } from './get-conversation-history.ts'
import { getConversations } from './get-conversations.ts'
import { getMessage } from './get-message.ts'
import { getUsage } from './get-usage.ts'
import { healthCheck } from './health-check.ts'
import { listSessions } from './list-sessions.ts'
import { registerUser } from './register-user.ts'
import { revokeToken } from './revoke-token.ts'
import { rotateToken } from './rotate-token.ts'
import { sendMessage } from './send-message.ts'
import { setBudget } from './set-budget.ts'
import { updateApiKey } from './update-api-key.ts'

/** Every tool, in the order clients see them. */
export const tools: readonly Tool[] = [
  registerUser,
  authenticateUser,
  rotateToken,
  revokeToken,
  listSessions,
  updateApiKey,
  changePassword,
  sendMessage,
  getMessage,
  cancelMessage,
  getConversations,
  getConversationHistory,
  getUsage,
  getBudget,
  setBudget,
  exportMyData,
  deleteMyAccount,
  healthCheck,
]
