import { ALWAYS_THINKING, BOUND, CURRENT, type Model, V4_5, V4_6 } from './model-profiles.ts'

/** Newest first, as the API lists them (Anthropic API docs: Models overview, Model deprecations). */
const LIVE: Model[] = [
  {
    ...ALWAYS_THINKING,
    id: 'claude-fable-5-2',
    name: 'Claude Fable 5.2',
    line: 'fable',
    createdOn: '2026-11-09',
  },
  {
    ...ALWAYS_THINKING,
    id: 'claude-mythos-5-2',
    name: 'Claude Mythos 5.2',
    line: 'mythos',
    createdOn: '2026-11-09',
  },
  // Whether Haiku 5.5 lets thinking be disabled is not published: the stricter reading is taken.
  {
    ...BOUND,
    id: 'claude-haiku-5-5',
    name: 'Claude Haiku 5.5',
    line: 'haiku',
    createdOn: '2026-10-07',
    minCacheTokens: 4096,
    systemMessages: false,
  },
  {
    ...BOUND,
    id: 'claude-sonnet-5-5',
    name: 'Claude Sonnet 5.5',
    line: 'sonnet',
    createdOn: '2026-09-28',
    thinking: ['adaptive', 'between_tools'],
    systemMessages: false,
    forcedTools: false,
  },
  {
    ...ALWAYS_THINKING,
    id: 'claude-opus-5-5',
    name: 'Claude Opus 5.5',
    line: 'opus',
    createdOn: '2026-09-22',
  },
  {
    ...ALWAYS_THINKING,
    id: 'claude-fable-5-1',
    name: 'Claude Fable 5.1',
    line: 'fable',
    createdOn: '2026-09-01',
  },
  {
    ...ALWAYS_THINKING,
    id: 'claude-mythos-5-1',
    name: 'Claude Mythos 5.1',
    line: 'mythos',
    createdOn: '2026-09-01',
  },
  {
    ...CURRENT,
    id: 'claude-opus-5',
    name: 'Claude Opus 5',
    line: 'opus',
    createdOn: '2026-07-24',
    minCacheTokens: 512,
  },
  {
    ...CURRENT,
    id: 'claude-sonnet-5',
    name: 'Claude Sonnet 5',
    line: 'sonnet',
    createdOn: '2026-06-30',
    systemMessages: false,
  },
  {
    ...CURRENT,
    id: 'claude-fable-5',
    name: 'Claude Fable 5',
    line: 'fable',
    createdOn: '2026-06-09',
    thinking: ['adaptive'],
    minCacheTokens: 512,
  },
  {
    ...CURRENT,
    id: 'claude-mythos-5',
    name: 'Claude Mythos 5',
    line: 'mythos',
    createdOn: '2026-06-09',
    thinking: ['adaptive'],
    minCacheTokens: 512,
  },
  {
    ...CURRENT,
    id: 'claude-opus-4-8',
    name: 'Claude Opus 4.8',
    line: 'opus',
    createdOn: '2026-05-28',
    thinksByDefault: false,
  },
  {
    ...CURRENT,
    id: 'claude-opus-4-7',
    name: 'Claude Opus 4.7',
    line: 'opus',
    createdOn: '2026-04-16',
    thinksByDefault: false,
    minCacheTokens: 2048,
    systemMessages: false,
  },
  {
    ...V4_6,
    id: 'claude-sonnet-4-6',
    name: 'Claude Sonnet 4.6',
    line: 'sonnet',
    createdOn: '2026-02-17',
  },
  {
    ...V4_6,
    id: 'claude-opus-4-6',
    name: 'Claude Opus 4.6',
    line: 'opus',
    createdOn: '2026-02-05',
    minCacheTokens: 4096,
  },
  {
    ...V4_5,
    id: 'claude-opus-4-5-20251101',
    alias: 'claude-opus-4-5',
    name: 'Claude Opus 4.5',
    line: 'opus',
    createdOn: '2025-11-24',
    minCacheTokens: 4096,
    efforts: ['low', 'medium', 'high'],
  },
  {
    ...V4_5,
    id: 'claude-haiku-4-5-20251001',
    alias: 'claude-haiku-4-5',
    name: 'Claude Haiku 4.5',
    line: 'haiku',
    createdOn: '2025-10-15',
    minCacheTokens: 4096,
  },
  {
    ...V4_5,
    id: 'claude-sonnet-4-5-20250929',
    alias: 'claude-sonnet-4-5',
    name: 'Claude Sonnet 4.5',
    line: 'sonnet',
    createdOn: '2025-09-29',
    lifecycle: 'deprecated',
    deprecatedOn: '2026-09-30',
    retiresOn: '2026-11-30',
  },
]

const RETIRED: Model[] = (
  [
    ['claude-opus-4-1-20250805', 'opus', 'Claude Opus 4.1', '2025-08-05', '2026-08-05'],
    ['claude-sonnet-4-20250514', 'sonnet', 'Claude Sonnet 4', '2025-05-22', '2026-06-15'],
    ['claude-opus-4-20250514', 'opus', 'Claude Opus 4', '2025-05-22', '2026-06-15'],
    ['claude-3-7-sonnet-20250219', 'sonnet', 'Claude Sonnet 3.7', '2025-02-24', '2026-02-19'],
    ['claude-3-5-haiku-20241022', 'haiku', 'Claude Haiku 3.5', '2024-10-22', '2026-02-19'],
    ['claude-3-5-sonnet-20241022', 'sonnet', 'Claude Sonnet 3.5', '2024-10-22', '2025-10-28'],
    ['claude-3-5-sonnet-20240620', 'sonnet', 'Claude Sonnet 3.5', '2024-06-20', '2025-10-28'],
    ['claude-3-haiku-20240307', 'haiku', 'Claude Haiku 3', '2024-03-07', '2026-04-20'],
    ['claude-3-opus-20240229', 'opus', 'Claude Opus 3', '2024-02-29', '2026-01-05'],
  ] as const
).map(([id, line, name, createdOn, retiresOn]) => ({
  ...V4_5,
  id,
  line,
  name,
  createdOn,
  lifecycle: 'retired',
  retiresOn,
}))

export const MODELS: readonly Model[] = [...LIVE, ...RETIRED]

const BY_NAME = new Map(
  MODELS.flatMap((model) =>
    [model.id, ...(model.alias ? [model.alias] : [])].map((name) => [name, model]),
  ),
)
BY_NAME.set('claude-opus-4-1', BY_NAME.get('claude-opus-4-1-20250805') as Model)

/** The model an id or alias names, retired ones included. */
export function findModel(name: string): Model | undefined {
  return BY_NAME.get(name)
}
