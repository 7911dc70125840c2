/** Programs that open links without a person: search engines, archives, and previews of chats. */

/** Parts of the user agents that they publish, by what an event calls them. */
const CRAWLERS: Readonly<Record<string, RegExp>> = {
  google: /Googlebot|Google-InspectionTool|GoogleOther|Google-Extended|APIs-Google|AdsBot-Google/i,
  bing: /bingbot|BingPreview|adidxbot|msnbot/i,
  apple: /Applebot/i,
  duckduckgo: /DuckDuckBot|DuckAssistBot/i,
  yandex: /Yandex\w*(?:Bot|bot)|YandexImages/i,
  baidu: /Baiduspider/i,
  openai: /GPTBot|OAI-SearchBot|ChatGPT-User/i,
  anthropic: /ClaudeBot|Claude-User|Claude-SearchBot|anthropic-ai/i,
  perplexity: /PerplexityBot|Perplexity-User/i,
  meta: /facebookexternalhit|Facebot|meta-externalagent|meta-externalfetcher/i,
  whatsapp: /WhatsApp\//i,
  slack: /Slackbot|Slack-ImgProxy/i,
  discord: /Discordbot/i,
  telegram: /TelegramBot/i,
  twitter: /Twitterbot/i,
  linkedin: /LinkedInBot/i,
  skype: /SkypeUriPreview/i,
  pinterest: /Pinterestbot/i,
  reddit: /redditbot/i,
  mastodon: /Mastodon\//i,
  'internet archive': /archive\.org_bot|ia_archiver|heritrix/i,
  'common crawl': /CCBot/i,
  amazon: /Amazonbot/i,
  bytedance: /Bytespider/i,
  petal: /PetalBot/i,
  ahrefs: /AhrefsBot/i,
  semrush: /SemrushBot/i,
  /** Says of itself what it is. */
  other: /(?<!cu)bot\b|crawler|spider|archiver|\+https?:\/\//i,
}

/** @returns undefined for what may be a person's browser. */
export function crawlerOf(userAgent: string | undefined): string | undefined {
  if (userAgent === undefined) return undefined
  const shown = userAgent.slice(0, MOST_CHARACTERS)
  return Object.keys(CRAWLERS).find((name) => CRAWLERS[name]?.test(shown))
}

const MOST_CHARACTERS = 1024
