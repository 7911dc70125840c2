/**
 * A person on a page has no tools: an error that names one, or an argument, says in `onPages` what
 * to do there instead.
 */

import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { AppError, toErrorBody } from '../../src/errors.ts'
import { tools } from '../../src/mcp/tools/index.ts'
import { wordedError } from '../../src/mcp/worded-error.ts'
import { messageOnPages } from '../../src/web/kit/forms.ts'

/** Where the sentences are that pages show; elsewhere only what is given to an AppError itself. */
const SPEAKING = /^(?:services|claude)\//
/** What answers the calls of tools, or of the Messages API. */
const NO_PAGES =
  /^(?:mcp|admin|database|http\/(?:mcp|messages)|(?:services|claude)\/pass-through)\//

/** Beginnings of sentences that no page shows, and why. */
const NEVER_ON_PAGES: Record<string, string> = {
  'Only tokens of authenticate_user': 'rotate_token alone rotates',
  'Send with pay_with: "own", or have': 'a browser session may spend the money of all its teams',
  'You are a  of this conversation, and only its owner ends':
    'revoke_share alone ends all of a conversation',
  'edit_message_id needs': 'a page that edits has the conversation in its address',
  'cursor must be a next_cursor of an earlier part': 'a page exports a conversation as a whole',
  'unfinished: call get_message': 'a warning of a result',
  'max_tokens was used up': 'a warning of a result',
  'max_tokens was lowered': 'a warning of a result',
}

/** Names of tools and arguments, what is quoted as one, and literals that are given to one. */
const FOR_CALLERS = /(?<!\w)[a-z]+(?:_[a-z]+)+(?!\w)|`|: "/

const isForCallers = (text: string) => text.includes(' ') && FOR_CALLERS.test(text)
const isOnPages = (text: string) =>
  !Object.keys(NEVER_ON_PAGES).some((beginning) => text.startsWith(beginning))

const src = new URL('../../src/', import.meta.url)
const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter(
  (file) => file.endsWith('.ts') && !NO_PAGES.test(file),
)

/** Functions, methods and constants: a blank line is between them. */
function declarationsOf(file: string): string[] {
  const text = readFileSync(new URL(file, src), 'utf8')
  const declarations = text.replace(/^[ \t]*(?:\/\*|\*|\/\/).*\n/gm, '').split(/\n\s*\n/)
  return SPEAKING.test(file)
    ? declarations
    : declarations.filter((declaration) => declaration.includes('new AppError('))
}

/** The string literals of some code, each without what is interpolated. */
function literalsOf(code: string): string[] {
  const found: string[] = []
  const open: { quote: string; text: string }[] = []
  for (let at = 0; at < code.length; at += 1) {
    const letter = code[at] as string
    const inside = open.at(-1)
    if (inside === undefined || inside.quote === '{') {
      if (letter === '}') open.pop()
      else if (letter === '/') at += lengthOfPattern(code, at)
      else if (`'"\`{`.includes(letter)) open.push({ quote: letter, text: '' })
    } else if (letter === '\\') inside.text += code[++at]
    else if (letter === inside.quote) found.push(open.pop()?.text ?? '')
    else if (inside.quote === '`' && code.startsWith('${', at)) {
      open.push({ quote: '{', text: '' })
      at += 1
    } else inside.text += letter
  }
  return found
}

/** Of a regular expression, which may hold quotes, without its end; 0 for any other slash. */
function lengthOfPattern(code: string, at: number): number {
  if (!/[(,=:&|?[!]\s*$/.test(code.slice(0, at))) return 0
  const [pattern = '/'] = /^\/(?:\\.|\[(?:\\.|[^\]\\])*\]|[^/\\[\n])+\//.exec(code.slice(at)) ?? []
  return pattern.length - 1
}

const told = (code: string) => literalsOf(code).filter(isForCallers)

/** A page sends its visitor to sign in, and shows nothing of this error. */
const isShown = (declaration: string) => !declaration.includes("'unauthenticated'")

/** Sentences of a declaration for which a page has no other words, or has such words itself. */
function withoutWords(declaration: string): string[] {
  const sentences = isShown(declaration) ? told(declaration).filter(isOnPages) : []
  const others = declaration.match(/\bonPages\b/g) ?? []
  return sentences.length > others.length ? sentences : []
}

const declarations = files.flatMap(declarationsOf)

test('the names of all tools and arguments are told from plain words', () => {
  const names = tools.flatMap(({ name, input }) => [name, ...Object.keys(input.shape)])
  for (const name of names.filter((name) => name.includes('_'))) {
    expect(isForCallers(`Ask with ${name}.`)).toBe(true)
  }
  expect(isForCallers('Ask at /account/requests (MAX_STORED_BYTES_PER_USER).')).toBe(false)
})

test('sentences are found wherever they are in a source', () => {
  const code =
    "const a = ok ? `It ends at $<at_once>.$<b ? ` Ask with get_x, $<c>.` : ''>` : 'pay_with'"
      .replaceAll('<', '{')
      .replaceAll('>', '}')
  expect(literalsOf(code)).toEqual([' Ask with get_x, .', '', 'It ends at .', 'pay_with'])
  expect(told(code)).toEqual([' Ask with get_x, .'])
  expect(literalsOf("a.split(/[`'/]/).map((b) => b / 2 + 'c d')")).toEqual(['c d'])
  expect(withoutWords(`throw new AppError('x', 'Ask with get_x.')`)).toEqual(['Ask with get_x.'])
  const words = (onPages: string) =>
    `throw new AppError('x', 'Ask with get_x.', { onPages: '${onPages}' })`
  expect(withoutWords(words('Ask at /x.'))).toEqual([])
  expect(withoutWords(words('Ask with get_y.'))).toHaveLength(2)
  expect(declarations.flatMap(told).length).toBeGreaterThan(25)
})

test.each(files)('%s has other words for pages where it names a tool or an argument', (file) => {
  expect(declarationsOf(file).flatMap(withoutWords)).toEqual([])
})

test('what is never on a page is still said somewhere', () => {
  const said = declarations.flatMap(told)
  for (const beginning of Object.keys(NEVER_ON_PAGES)) {
    expect(said.filter((text) => text.startsWith(beginning)).length, beginning).toBeGreaterThan(0)
  }
})

describe('an error with words for pages', () => {
  const error = new AppError(
    'conversation_busy',
    'message_id is in use: cancel_message, in 120 s.',
    {
      onPages: 'It is in use. Stop it on its page, in 120 s.',
      details: { field: 'message_id' },
    },
  )

  test('is shown in them', () => {
    expect(messageOnPages(error)).toBe('It is in use. Stop it on its page, in 2 minutes.')
  })

  test('does not tell them to other clients', () => {
    const expected = {
      code: 'conversation_busy',
      message: 'message_id is in use: cancel_message, in 120 s.',
      retryable: true,
      details: { field: 'message_id' },
    }
    expect(toErrorBody(error)).toEqual({ success: false, error: expected })
    expect(JSON.stringify(wordedError(error, { worded: (text) => text }))).not.toContain('its page')
  })
})
