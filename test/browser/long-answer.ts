/** An answer with every construct that pages render, and little that is short enough for a phone. */

const LONG = 'a_very_long_word_without_a_break_'.repeat(6)

export const LONG_ANSWER = `# Two slits

Send electrons, *one at a time*, at a wall with **two** narrow slits. ~~Waves~~ ${LONG}

### Why

1. First, \`${LONG}\`
2. Then
   - a point
   - another, with [a link](https://example.com/${LONG})

> Nobody understands it.

| slit | seen | what the detector that stands behind it has recorded |
|------|------|------|
| left | 1 | ${LONG} |
| right | 2 | - |

\`\`\`js
const wave = { amplitude: 1, phase: 0, ${LONG}: true }
\`\`\`

---

![An image](https://example.com/image.png) and מילה בעברית and <https://example.com>.
`
