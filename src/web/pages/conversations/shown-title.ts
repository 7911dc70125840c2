import { visibleName } from '../../../text/visible-name.ts'

/** In one line, without what is invisible or would cover other lines. */
export const shownTitle = (title: string): string => visibleName(title) ?? 'Untitled'
