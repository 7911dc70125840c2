import type { Prompt } from '../definitions/prompt.ts'
import { continueConversation } from './continue-conversation.ts'
import { summariseConversation } from './summarise-conversation.ts'
import { whatDidISpend } from './what-did-i-spend.ts'

/** Every prompt, in the order clients see them. */
export const prompts: readonly Prompt[] = [
  continueConversation,
  summariseConversation,
  whatDidISpend,
]
