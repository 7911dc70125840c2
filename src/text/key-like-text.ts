/** Finds what looks like a key or a token in a text that is about to be published. */

/** `shown`: how it begins, never all of it. */
export type KeyLikeText = { kind: string; shown: string }

const KINDS: Readonly<Record<string, string>> = {
  'sk-ant-': 'Anthropic key',
  AKIA: 'AWS access key',
  '-----BEGIN': 'private key or certificate',
  ghp_: 'GitHub token',
  cag_: 'access token of this gateway',
}

const BEGINNING = /sk-ant-|AKIA|-----BEGIN|ghp_|cag_/g
const SHOWN_CHARACTERS = 14
const MOST = 100

/** In the order of the text, the first hundred. */
export function keyLikeTexts(text: string): KeyLikeText[] {
  const found: KeyLikeText[] = []
  for (const { 0: beginning, index } of text.matchAll(BEGINNING)) {
    const shown = text.slice(index, index + SHOWN_CHARACTERS).split(/\s/)[0] ?? beginning
    found.push({ kind: KINDS[beginning] ?? '', shown: `${shown}…` })
    if (found.length === MOST) break
  }
  return found
}
