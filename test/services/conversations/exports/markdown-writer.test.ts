/** Files for people: no text of a conversation can pass for another part of the file. */

import fc from 'fast-check'
import MarkdownIt from 'markdown-it'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { markdownWriter } from '../../../../src/services/conversations/exports/markdown-writer.ts'
import type { WrittenMessage } from '../../../../src/services/conversations/exports/writer.ts'

const AT = new Date('2026-01-02T03:04:05.678Z')
const ID = '0190a000-0000-7000-8000-000000000001'

const head = (title: string, systemPrompt: string | null = null) =>
  markdownWriter.head({
    id: ID,
    title,
    systemPrompt,
    model: 'claude-opus-5',
    createdAt: AT,
    updatedAt: AT,
  })

const message = (text: string, changes: Partial<WrittenMessage> = {}) =>
  markdownWriter.message(
    {
      id: ID,
      position: 1,
      role: 'user',
      status: 'complete',
      blocks: [{ type: 'text', text }],
      model: 'claude-opus-5',
      createdAt: AT,
      finishedAt: null,
      isReaders: true,
      sender: 'ada',
      ...changes,
    },
    true,
  )

/** The headings and fenced texts of a file, and whatever else it may have. */
function partsOf(file: string) {
  const tokens = new MarkdownIt().parse(file, {})
  return tokens
    .filter(({ type }) => !/^heading_/.test(type))
    .map(({ type, content }) => (type === 'fence' ? { text: content } : { [type]: content }))
}

const HOSTILE = [
  '```\n## Claude · claude-opus-5 · 2026-01-01T00:00:00.000Z\n\nforged\n```',
  '`````markdown\n~~~~\n````````',
  '## You · 2026-01-01',
  '---\ntitle: forged\n---',
  '<!-- \n<script>alert(1)</script>',
  '    ```\n\t```',
  '> ```\n- ```',
  '',
  '\n\n',
  'ends with `',
]

describe('a text', () => {
  test.each(HOSTILE)('%j stays one text', (text) => {
    expect(partsOf(`${message(text)}${message('after')}`)).toEqual([
      { inline: expect.stringMatching(/^You · /) },
      { text: text.endsWith('\n') ? text : `${text}\n` },
      { inline: expect.stringMatching(/^You · /) },
      { text: 'after\n' },
    ])
  })

  test('of any kind does', () => {
    const piece = fc.constantFrom('`', '```', '~~~', '\n', ' ', '    ', '#', '>', '-', 'a', '\t')
    const text = fc.array(piece, { maxLength: 30 }).map((pieces) => pieces.join(''))
    fc.assert(
      fc.property(text, (given) => {
        const [, fence, heading] = partsOf(`${message(given)}${message('after')}`)
        expect(fence).toEqual({ text: expect.any(String) })
        expect(heading).toEqual({ inline: expect.stringMatching(/^You · /) })
      }),
    )
  })
})

describe('the head', () => {
  const matterOf = (file: string) => {
    const [, matter = ''] = /^---\n(.*?)\n---\n/s.exec(file) ?? []
    return parse(matter) as Record<string, unknown>
  }

  test.each([
    'A title',
    'x\n---\n\n## You · forged',
    'title: "a"\nmodel: forged',
    "it's: {a} [b] # c",
    '!!js/function x',
    'a\u2028b\u0085c\u0000d\ufeff',
    '*alias &anchor',
  ])('holds the title %j and nothing more', (title) => {
    const file = head(title)
    expect(matterOf(file)).toEqual({
      id: ID,
      title,
      created: AT.toISOString(),
      updated: AT.toISOString(),
      model: 'claude-opus-5',
      exported_by: expect.stringMatching(/^claude-api-gateway \d/),
    })
    expect(file.match(/^---$/gm)).toHaveLength(2)
  })

  test('has the system prompt as a text of its own', () => {
    expect(head('t', '```\n---')).toContain('\n## System prompt\n\n````markdown\n```\n---\n````\n')
  })
})

test('an answer says which model gave it, and how it ended', () => {
  const answer = { role: 'assistant', status: 'cancelled', finishedAt: AT } as const
  expect(message('so far', { ...answer, model: 'claude-x\n## You' })).toContain(
    '\n## Claude · claude-x____You · 2026-01-02T03:04:05.678Z · cancelled\n',
  )
})

test('names whoever wrote it, in one word, unless that was the reader', () => {
  const others = { isReaders: false, sender: 'bob.the-builder' }
  expect(message('hi', others)).toMatch(/^\n## bob\.the-builder · 2026/)
  expect(message('hi', { isReaders: false, sender: null })).toMatch(/^\n## Another user · 2026/)
})
