package webchatservice

import (
	"encoding/json"
	"errors"
)

// Interface is the part of the webchat section that user interfaces read (webchatservice 2.9,
// webchat-widget 9). The service keeps it and uses none of it but maxMessageLength, which stands in
// [Config].
type Interface struct {
	ChatButton ChatButton `json:"chatButton,omitzero"`
	AutoInvite AutoInvite `json:"autoInvite,omitzero"`
	Proactive  Proactive  `json:"proactive,omitzero"`

	Emojis                     bool      `json:"emojis,omitempty" doc:"offer emojis"`
	EmojiList                  string    `json:"emojiList,omitempty" doc:"which emojis"`
	UploadsEnabled             bool      `json:"uploadsEnabled,omitempty" doc:"offer to send files"`
	ConfirmFormCloseEnabled    *bool     `json:"confirmFormCloseEnabled,omitempty" doc:"ask before a filled form is closed"`
	CharCountEnabled           bool      `json:"charCountEnabled,omitempty" doc:"show how many characters remain"`
	Form                       any       `json:"form,omitempty" doc:"fields of the form before a chat"`
	TimeFormat                 int       `json:"timeFormat,omitempty" doc:"12 or 24; 0: that of the application"`
	Markdown                   bool      `json:"markdown,omitempty" doc:"show markdown"`
	MinimizeOnMobileRestore    bool      `json:"minimizeOnMobileRestore,omitempty" doc:"restore to a minimised window on telephones"`
	UnminimizeOnAlert          *bool     `json:"unminimizeOnAlert,omitempty" doc:"idle alerts open the window"`
	InviteOnRestoreTimeout     *bool     `json:"inviteOnRestoreTimeout,omitempty" doc:"offer a new chat when one could not be restored"`
	PromptEndChatOnError       int       `json:"promptEndChatOnError,omitempty" unit:"ms" min:"0" doc:"offer to end the chat after so long an error"`
	EndChatOnErrorThreshold    int       `json:"endChatOnErrorThreshold,omitempty" unit:"ms" min:"0" doc:"end the chat after so long an error"`
	MetaDataEnabled            *bool     `json:"metaDataEnabled,omitempty" doc:"collect facts on the use of the window"`
	AriaCharRemainingIntervals Intervals `json:"ariaCharRemainingIntervals,omitempty" doc:"percentages at which remaining characters are spoken; false: never"`
	AriaIdleAlertIntervals     Intervals `json:"ariaIdleAlertIntervals,omitempty" doc:"percentages at which the idle count-down is spoken; false: never"`
	ActionsMenu                *bool     `json:"actionsMenu,omitempty" doc:"not read by the vendor's own interface"`
	TransferLink               string    `json:"transferLink,omitempty" doc:"not read by the vendor's own interface"`
	InviteLink                 string    `json:"inviteLink,omitempty" doc:"not read by the vendor's own interface"`
}

// ChatButton is the group chatButton.
type ChatButton struct {
	Enabled          bool   `json:"enabled,omitempty" doc:"show a button that opens the chat"`
	Template         string `json:"template,omitempty" doc:"HTML of the button"`
	OpenDelay        int    `json:"openDelay,omitempty" unit:"ms" min:"0" doc:"when the button comes"`
	Effect           string `json:"effect,omitempty" doc:"how the button comes"`
	EffectDuration   int    `json:"effectDuration,omitempty" unit:"ms" min:"0" doc:"how long that takes"`
	HideDuringInvite *bool  `json:"hideDuringInvite,omitempty" doc:"no button beside an invitation"`
	ServicePlugin    string `json:"servicePlugin,omitempty" doc:"namespace of the service that the interface uses"`
}

// AutoInvite is the group autoInvite.
type AutoInvite struct {
	Enabled              bool `json:"enabled,omitempty" doc:"invite visitors of their own accord"`
	TimeToInviteSeconds  int  `json:"timeToInviteSeconds,omitempty" unit:"s" min:"0" doc:"when"`
	InviteTimeoutSeconds int  `json:"inviteTimeoutSeconds,omitempty" unit:"s" min:"0" doc:"for how long"`
}

// Proactive is the group proactive, another name of autoInvite.
type Proactive struct {
	Enabled     bool `json:"enabled,omitempty" doc:"same as autoInvite.enabled"`
	IdleTimer   int  `json:"idleTimer,omitempty" unit:"s" min:"0" doc:"same as autoInvite.timeToInviteSeconds"`
	CancelTimer int  `json:"cancelTimer,omitempty" unit:"s" min:"0" doc:"same as autoInvite.inviteTimeoutSeconds"`
}

// Intervals is a list of percentages; in files false stands for the empty one.
type Intervals []int

// UnmarshalJSON takes a list of numbers or false.
func (i *Intervals) UnmarshalJSON(b []byte) error {
	if string(b) == "false" {
		*i = Intervals{}
		return nil
	}
	var list []int
	if json.Unmarshal(b, &list) != nil {
		return errors.New("want a list of whole numbers, or false")
	}
	*i = list
	return nil
}

func defaultInterface() Interface {
	return Interface{
		ChatButton: ChatButton{
			OpenDelay: 1000, Effect: "fade", EffectDuration: 300,
			HideDuringInvite: ptr(true), ServicePlugin: Namespace,
		},
		AutoInvite:                 AutoInvite{TimeToInviteSeconds: 5, InviteTimeoutSeconds: 30},
		Proactive:                  Proactive{IdleTimer: 5, CancelTimer: 30},
		ConfirmFormCloseEnabled:    ptr(true),
		UnminimizeOnAlert:          ptr(true),
		InviteOnRestoreTimeout:     ptr(true),
		PromptEndChatOnError:       60000,
		EndChatOnErrorThreshold:    300000,
		MetaDataEnabled:            ptr(true),
		AriaCharRemainingIntervals: Intervals{50, 25, 10},
		AriaIdleAlertIntervals:     Intervals{100, 75, 50, 25, 10},
		ActionsMenu:                ptr(true),
	}
}
