import { visibleName } from '../../../../text/visible-name.ts'

/** What file systems take for something else (Microsoft: Naming Files, Paths, and Namespaces). */
const UNSAFE = /[\\/:*?"<>|%;\s]+/g
/** Hides a file, or leads out of its folder. */
const LEADING = /^[\s.~-]+/
const MOST_CHARACTERS = 60

/** Of a conversation's file. Ends with a part of the id, so that no name means a device. */
export function fileName(title: string, id: string, ending: string): string {
  const words = (visibleName(title) ?? '').replace(UNSAFE, ' ').replace(LEADING, '').trim()
  const short = [...words].slice(0, MOST_CHARACTERS).join('').trim()
  return `${short === '' ? 'conversation' : short} ${id.slice(-8)}.${ending}`
}
