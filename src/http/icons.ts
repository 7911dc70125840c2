/** The gateway's icon, as SVG and as PNG: an arch with a light in it. */

export const ICON_SVG =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 96">' +
  '<rect width="96" height="96" rx="22" fill="#17324d"/>' +
  '<path d="M26 74V46a22 22 0 0 1 44 0v28" fill="none" stroke="#fff" stroke-width="9" stroke-linecap="round"/>' +
  '<circle cx="48" cy="60" r="9" fill="#f2a65a"/></svg>'

/** 96 by 96 pixels, transparent corners. */
export const ICON_PNG = Buffer.from(
  [
    'iVBORw0KGgoAAAANSUhEUgAAAGAAAABgCAYAAADimHc4AAAEkElEQVR42u1dzWsTQRTfPyD3PXiT4k2QBW+KB1GkZLFC',
    'ilFEA148VRB7KwhF6WGRilJBT0rRa/AU8GCxUKRSsVhKhYCCgij4gebQg4WRX92WoE0y+zHzZre/Bw9CMjvz3vvtvq8J',
    'O56XgfwgrPhBWPWDMPKDsOUHYdsPwo4fhKqk3Il1bMU6Q/eKZ5vihZt+EK6X2Ni6vB7bomrD8DU/CNdo9J4M29RMGH7I',
    'D8I5GlibYauhvIzfKLlfNxkvGlmNH9GQmTlKa/xpGi83nuadX5QnIfb5NJgZbuhkOwy4ZgPzUD8AmGpaSFH7FVk0kB2u',
    '7QQAK1yLFfNOvR0axi5XuwFo0iDWudndUmZXU6aLWqH7kXZDrHqFq+N4d4fGkOGWF2+xFULg/cfOq9FLE2rs2i01NTOr',
    'onuPNxmf8R1+w5gCAdD2XG49HDjRUOM3ZlRr7oX69uOn0iWMxTW4FnO43JrwXBNqz8ERdXF8Sj1fXFZ5EebCnJjbNX2d',
    'AgBu5N2HT8oUYW6sQQD+4aP1MbW82la2CGthzV0PAFwCAujvjQ1lm7Am1pZ2S2IA7DtSV88WXilpggyQZVcBgFSx/f6j',
    'coUgi1T66u1240uD4Nl2O1mNj0wGOf79R0+2CzF8xndZMyjIZtsdeTYDblqfv7C0oq5M3tG6QzEGY3FN2phgMzBbAwAZ',
    'R1J6Ov8yU7qIazFHUoKspQIAhkiSan75+l2duzyZ2/qYC3MmSVFt1QlWAEhSZC29eWskGGJOzJ2kWCsFACj9dWnx9ara',
    'e2jUmCyYG2voko22hWc68OpmJrg7TRq/GwTdJwGymw7IRgFAB1LX59vMwbGWbkyADoUFQLelnGfATRKYdVvZhQQAGyG6',
    'qaZUH0Y3RTW5qWMMAOxG6ZBkWxhr6xB0KRwAaA3oVLjS/Xidihm6FA4AnT1ctAykAYAMOnvMhQIAWYYOufAPBmlZjQCA',
    'v4fo5Niu7Mvq1CrQqTAA6FS/Jv2qiXhlqir2pDqf6OG7AgBkkeqQGgEAmySDCGNcAUBSXgJAAAgAASAABIAAEAA9rtdO',
    'qdmJUbVyt65+PT67yfiM7/AbATCk0OHjJ9X8zdPbRu/FGIOxBCBHhYbDEfX54ZmBxt9ijMU1BCAHhXA3JzF+Nwi6TwIB',
    '6MM6bqefOyIAGRRCUE1r/C3WCcwEoAcjs8kKAOYgACkV6k410zLmIAApFcpq/C0mAASALogAMAgzDSUALMTYiiAAbMax',
    'HU0AuCHDLUkCQAAIAAEgAASglABcv/1goEIY4woAkvIaeW3l8IWrAxXCGFcAEJS3Y+zFrf1eTYPfXHt9pJC8bWOvLsYr',
    'AXZSCt/ZeCVBQeRtGX95Nx5d+E+wS27HEXkjvr5elqs8wEGO17fPIuYRJiLc5CE+0u6Hx1iJ8RoPcpPlGo8ylOM5HuYp',
    'x52BR53zOFuj3OCBznIc8UhzOZ5Oe648nwTbd36PmMDAnC7gNrw8KM6OmKImSDUHZjspgaixYu5f4fYssnIGoho38NhF',
    '/WuD5n+9HRsUt7KrcbBuxdubnZL79XasaxTrXsliwz9OewsU2xkrhgAAAABJRU5ErkJggg==',
  ].join(''),
  'base64',
)
