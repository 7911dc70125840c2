import type { Tool } from '../definitions/tool.ts'
import { authenticateUser } from './authenticate-user.ts'
import { branchConversation } from './branch-conversation.ts'
import { cancelMessage } from './cancel-message.ts'
import { changePassword } from './change-password.ts'
import { deleteConversation } from './delete-conversation.ts'
import { deleteMyAccount } from './delete-my-account.ts'
import { exportConversation } from './export-conversation.ts'
import { exportMyData } from './export-my-data.ts'
import { getBudget } from './get-budget.ts'
import { getConversationHistory } from './get-conversation-history.ts'
import { getConversations } from './get-conversations.ts'
import { getMessage } from './get-message.ts'
import { getShares } from './get-shares.ts'
import { getTeams } from './get-teams.ts'
import { getUsage } from './get-usage.ts'
import { healthCheck } from './health-check.ts'
import { listSessions } from './list-sessions.ts'
import { manageTeam } from './manage-team.ts'
import { registerUser } from './register-user.ts'
import { requestBudget } from './request-budget.ts'
import { revokeShare } from './revoke-share.ts'
import { revokeToken } from './revoke-token.ts'
import { rotateToken } from './rotate-token.ts'
import { searchConversations } from './search-conversations.ts'
import { sendMessage } from './send-message.ts'
import { setBudget } from './set-budget.ts'
import { shareConversation } from './share-conversation.ts'
import { updateApiKey } from './update-api-key.ts'
import { updateConversation } from './update-conversation.ts'

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
  searchConversations,
  updateConversation,
  branchConversation,
  deleteConversation,
  exportConversation,
  shareConversation,
  getShares,
  revokeShare,
  getTeams,
  manageTeam,
  requestBudget,
  getUsage,
  getBudget,
  setBudget,
  exportMyData,
  deleteMyAccount,
  healthCheck,
]
