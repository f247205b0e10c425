"""The seven consent types and what is derived from them.

Pure: standard library only. Source: contract H1-H3, L10.
"""

ANALYTICS = "analytics"
AB_TESTING_AND_PERSONALIZATION = "ab_testing_and_personalization"
CONVERSION_TRACKING = "conversion_tracking"
MARKETING_AUTOMATION = "marketing_automation"
REMARKETING = "remarketing"
USER_FEEDBACK = "user_feedback"
CUSTOM_CONSENT = "custom_consent"

#: In the order in which forms and statistics list them.
CONSENT_TYPES = (
    ANALYTICS,
    AB_TESTING_AND_PERSONALIZATION,
    CONVERSION_TRACKING,
    MARKETING_AUTOMATION,
    REMARKETING,
    USER_FEEDBACK,
    CUSTOM_CONSENT,
)

#: Statuses of a type (contract H3).
NOT_DECIDED, REJECTED, APPROVED = -1, 0, 1

#: What Global Privacy Control rejects (contract L10).
GPC_CONSENT_TYPES = (CONVERSION_TRACKING, REMARKETING)

#: {signal of Google Consent Mode v2: the type that grants it}. Signals that are not listed
#: (functionality_storage, security_storage) are left to the page.
CONSENT_MODE_SIGNALS = {
    "ad_storage": CONVERSION_TRACKING,
    "ad_user_data": CONVERSION_TRACKING,
    "ad_personalization": REMARKETING,
    "analytics_storage": ANALYTICS,
    "personalization_storage": AB_TESTING_AND_PERSONALIZATION,
}
