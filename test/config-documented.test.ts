/** README.md and .env.example against the settings there are. */

import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { loadConfig } from '../src/config/config.ts'
import { SETTINGS } from '../src/config/settings.ts'

type Name = keyof typeof SETTINGS
const names = Object.keys(SETTINGS) as Name[]

/** As a person writes it; '' for a setting that is not set unless somebody sets it. */
function defaultText(name: Name): string {
  const { data } = SETTINGS[name].safeParse(undefined)
  return data === undefined || Array.isArray(data) ? '' : String(data)
}
const withDefault = names.filter(defaultText)
const defaults = withDefault.map((name) => [name, defaultText(name)])

const fileText = (name: string) => {
  const url = new URL(`../${name}`, import.meta.url)
  return existsSync(url) ? readFileSync(url, 'utf8') : ''
}

test('there are defaults to compare', () => {
  expect(withDefault.length).toBeGreaterThan(20)
  expect(Object.fromEntries(defaults)).toMatchObject({ PORT: '3000', TRUST_PROXY: 'false' })
})

describe('README.md: | `NAME` | default | description |', () => {
  const rows = fileText('README.md').matchAll(/^\|\s*`([A-Z][A-Z0-9_]+)`\s*\|([^|]*)\|(.*)\|\s*$/gm)
  const settings = [...rows].map(([, name = '', shown = '', description = '']) => {
    return { name, shown: shown.replaceAll('`', '').trim(), description: description.trim() }
  })

  test('lists every setting once, in the order of config/settings.ts, and no other', () => {
    expect(settings.map(({ name }) => name)).toEqual(names)
  })

  test('says the default of each', () => {
    const shown = new Map(settings.map((setting) => [setting.name, setting.shown]))
    expect(withDefault.map((name) => [name, shown.get(name)])).toEqual(defaults)
  })

  test('describes each in the words of config/settings.ts', () => {
    const words = names.map((name) => SETTINGS[name].description)
    expect(settings.map(({ description }) => description)).toEqual(words)
  })
})

test('a setting of a few words names each of them, save its default', () => {
  const choices = names.flatMap((name) => {
    const schema: unknown = SETTINGS[name]
    const inner = schema instanceof z.ZodDefault ? schema.unwrap() : schema
    if (!(inner instanceof z.ZodEnum)) return []
    return inner.options
      .filter((value) => value !== defaultText(name))
      .map((value) => ({ name, value: String(value) }))
  })
  expect(choices.length).toBeGreaterThan(10)
  const unnamed = choices.filter(
    ({ name, value }) => !SETTINGS[name].description?.includes(`\`${value}\``),
  )
  expect(unnamed).toEqual([])
})

describe('.env.example: # description, then NAME=default or # NAME=default', () => {
  const lines = fileText('.env.example').split('\n')
  /** The comment right above a line, unfolded. */
  const above = (index: number): string => {
    const line = lines[index - 1] ?? ''
    if (!line.startsWith('# ')) return ''
    return `${above(index - 1)} ${line.slice(2)}`.trim()
  }
  const assignments = lines.flatMap((line, index) => {
    const [, mark, name = '', value = ''] = /^(# ?)?([A-Z][A-Z0-9_]+)=(.*)$/.exec(line) ?? []
    if (name === '') return []
    return [{ name, value: value.trim(), isActive: mark === undefined, comment: above(index) }]
  })
  const isOurs = ({ name }: { name: string }) => names.includes(name as Name)
  const ours = assignments.filter(isOurs)

  test('has every setting once, in the order of config/settings.ts', () => {
    expect(ours.map(({ name }) => name)).toEqual(names)
  })

  test('has else only what docker-compose.yml takes, which reads the same file', () => {
    const compose = fileText('docker-compose.yml').matchAll(/\$\{([A-Z0-9_]+)/g)
    const taken = new Set([...compose].map(([, name]) => name))
    const others = assignments.filter((assignment) => !isOurs(assignment))
    expect(others.map(({ name }) => name).filter((name) => !taken.has(name))).toEqual([])
  })

  test('shows the default of each', () => {
    const shown = new Map(ours.map(({ name, value }) => [name, value]))
    expect(withDefault.map((name) => [name, shown.get(name)])).toEqual(defaults)
  })

  test('describes each in the words of config/settings.ts', () => {
    const words = names.map((name) => SETTINGS[name].description?.replaceAll('`', ''))
    expect(ours.map(({ comment }) => comment)).toEqual(words)
  })

  test('starts a gateway as it is', () => {
    const active = assignments.filter(({ isActive }) => isActive)
    const env = Object.fromEntries(active.map(({ name, value }) => [name, value]))
    expect(assignments.length).toBeGreaterThan(0)
    expect(() => loadConfig(env)).not.toThrow()
  })
})
