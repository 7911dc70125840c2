import { expect, test } from 'vitest'
import {
  ConversationDocument,
  contentHash,
  DOCUMENT_FORMAT,
  DOCUMENT_VERSION,
} from '../../../src/services/conversations/conversation-document.ts'

const document = ConversationDocument.parse({
  format: DOCUMENT_FORMAT,
  version: DOCUMENT_VERSION,
  conversation: {
    id: '0190a000-0000-7000-8000-000000000001',
    title: 'Engines',
    system_prompt: null,
    model: 'claude-sonnet-5-5',
    created_at: '2026-01-02T03:04:05.678Z',
    updated_at: '2026-01-02T03:04:05.678Z',
  },
  messages: [
    {
      id: '0190a000-0000-7000-8000-000000000002',
      role: 'user',
      status: 'complete',
      content: [{ type: 'text', text: 'hi' }],
      model: 'claude-sonnet-5-5',
      created_at: '2026-01-02T03:04:05.678Z',
    },
  ],
})
const [message] = document.messages as [ConversationDocument['messages'][number]]

test.each([
  ['a title', { conversation: { ...document.conversation, title: 'Motors' } }],
  ['a system prompt', { conversation: { ...document.conversation, system_prompt: 'Be brief.' } }],
  ['a text', { messages: [{ ...message, content: [{ type: 'text', text: 'ho' }] }] }],
  ['a role', { messages: [{ ...message, role: 'assistant' as const }] }],
  ['a time', { messages: [{ ...message, created_at: '2026-01-02T03:04:05.679Z' }] }],
  ['a message less', { messages: [] }],
])('the hash of the content changes with %s', (_, change) => {
  expect(contentHash({ ...document, ...change })).not.toBe(contentHash(document))
})

test.each([
  ['another id', { conversation: { ...document.conversation, id: message.id } }],
  ['another model', { messages: [{ ...message, model: 'claude-opus-5-5' }] }],
  [
    'another order of names',
    { messages: [{ ...message, content: [{ text: 'hi', type: 'text' }] }] },
  ],
])('the hash of the content is the same with %s', (_, change) => {
  expect(contentHash({ ...document, ...change })).toBe(contentHash(document))
})

test('the parts of the hash cannot be shifted between fields', () => {
  const moved = { ...message, content: [{ type: 'texthi', text: '' }] }
  expect(contentHash({ ...document, messages: [moved] })).not.toBe(contentHash(document))
})
